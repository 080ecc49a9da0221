//! What became of an order, in words or as the node's answer. I/O.

use serde_json::Value;

use super::CliError;
use super::output::{Format, Output};
use super::row::text_at;

/// Says what became of an order. One that takes longer stands all the same, and says where to look.
pub(super) fn tell(answer: &Value, what: &str, format: Format) -> Result<(), CliError> {
    let mut out = Output::stdout();
    match format {
        Format::Json => out.json(answer)?,
        Format::Table => out.line(&sentence(answer, what))?,
    }
    out.finish()
}

fn sentence(answer: &Value, what: &str) -> String {
    let place = ["topic", "partition", "offset"].map(|part| text_at(answer, &format!("command.{part}"))).join("/");
    if text_at(answer, "result") != "done" {
        let hint = text_at(answer, "hint");
        return format!("{what}: ordered, and not carried out yet ({place}); {hint}");
    }
    match answer.get("lifted").and_then(Value::as_u64) {
        None | Some(0) => format!("{what}: done ({place})"),
        Some(1) => format!("{what}: done, 1 block was lifted ({place})"),
        Some(lifted) => format!("{what}: done, {lifted} blocks were lifted ({place})"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_that_is_not_carried_out_yet_is_not_called_done() {
        let command = json!({ "topic": "sekisho.signals", "partition": 0, "offset": 7 });
        let done = json!({ "command": command, "result": "done", "lifted": 2 });
        assert_eq!(sentence(&done, "lift"), "lift: done, 2 blocks were lifted (sekisho.signals/0/7)");
        let pending = json!({ "command": command, "result": "pending", "hint": "look there" });
        let said = sentence(&pending, "lift");
        assert!(!said.contains("done") && said.ends_with("look there"), "{said}");
    }
}
