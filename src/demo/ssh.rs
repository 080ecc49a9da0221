//! Acts at the ssh door, as sshd and PAM log them. Pure.

use super::stage::Stage;

/// Names that spraying tools try.
const INVENTED: [&str; 20] = [
    "oracle",
    "postgres",
    "test",
    "ubuntu",
    "ftpuser",
    "git",
    "jenkins",
    "hadoop",
    "nagios",
    "minecraft",
    "tomcat",
    "guest",
    "support",
    "user",
    "pi",
    "es",
    "dev",
    "steam",
    "zabbix",
    "www",
];

/// A login with a key, and the end of its session.
pub(super) fn key(stage: &mut Stage<'_>, client: &str, user: &str) {
    let (process, port) = connection(stage);
    let print = "ED25519 SHA256:t0FV4OHPU7mhSr5vWhRqrsTOt8H6mWgreaX+wlgWMms";
    stage.ssh(process, &format!("Accepted publickey for {user} from {client} port {port} ssh2: {print}"));
    session(stage, process, client, user, port);
}

/// Two wrong passwords, then the right one.
pub(super) fn typo(stage: &mut Stage<'_>, client: &str, step: u32) {
    let (process, port) = connection(stage);
    if step < 2 {
        failed(stage, process, client, "erin", port);
    } else {
        stage.ssh(process, &format!("Accepted password for erin from {client} port {port} ssh2"));
        session(stage, process, client, "erin", port);
    }
}

/// A password tool on one account that exists.
pub(super) fn guess(stage: &mut Stage<'_>, client: &str) {
    let (process, port) = connection(stage);
    failed(stage, process, client, "root", port);
    stage.ssh(process, &format!("Connection closed by authenticating user root {client} port {port} [preauth]"));
}

/// One password for one invented user after the other.
pub(super) fn spray(stage: &mut Stage<'_>, client: &str, step: u32) {
    let (process, port) = connection(stage);
    let number = step as usize / INVENTED.len();
    let name = INVENTED[step as usize % INVENTED.len()];
    let user = if number == 0 { name.to_owned() } else { format!("{name}{number}") };
    stage.ssh(process, &format!("Invalid user {user} from {client} port {port}"));
    stage.ssh(process, "pam_unix(sshd:auth): check pass; user unknown");
    stage.ssh(process, &refusal(client, ""));
    stage.ssh(process, &format!("Failed password for invalid user {user} from {client} port {port} ssh2"));
    stage.ssh(process, &format!("Connection closed by invalid user {user} {client} port {port} [preauth]"));
}

fn connection(stage: &mut Stage<'_>) -> (u64, i64) {
    (stage.random.below(60_000) + 1_000, stage.random.between(32_768, 60_999))
}

fn failed(stage: &mut Stage<'_>, process: u64, client: &str, user: &str, port: i64) {
    stage.ssh(process, &refusal(client, &format!("  user={user}")));
    stage.ssh(process, &format!("Failed password for {user} from {client} port {port} ssh2"));
}

fn refusal(client: &str, user: &str) -> String {
    format!("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={client}{user}")
}

fn session(stage: &mut Stage<'_>, process: u64, client: &str, user: &str, port: i64) {
    stage.ssh(process, &format!("pam_unix(sshd:session): session opened for user {user}(uid=1001) by (uid=0)"));
    stage.ssh(process + 1, &format!("Received disconnect from {client} port {port}:11: disconnected by user"));
    stage.ssh(process + 1, &format!("Disconnected from user {user} {client} port {port}"));
    stage.ssh(process, &format!("pam_unix(sshd:session): session closed for user {user}"));
}
