//! EVE and nginx JSON records through their decoders, beside a `serde_json::Value` of the same bytes. I/O.
//!
//! The records are generated here. Only the ratio within one run says something on a shared machine: the decoder that
//! keeps few fields takes about a third of the time of `serde_json::Value` for EVE and 0.42 for nginx. Deliberately
//! without an assertion: a wall clock proves nothing in a test.

use std::collections::BTreeSet;
use std::hint::black_box;

use bumpalo::Bump;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use sekisho::decode::{Context, JsonDecoder, JsonSettings, Keep, SuricataDecoder, Target, Unit};
use sekisho::event::{Event, Field, Time};

const RECORDS: u32 = 1_000;

/// Records as a sensor mixes them (limits sheet): of twenty 9 alerts, 7 http, 2 tls and 2 flow, 1.2 KB on average.
fn eve(index: u32) -> String {
    match index % 20 {
        0..9 => alert(index),
        9..16 => http(index),
        16..18 => tls(index),
        _ => flow(index),
    }
}

/// What every record of Suricata 7 begins with.
fn head(index: u32, event_type: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-11-23T17:02:{:02}.{:06}+0000","flow_id":{},"in_iface":"eth0","event_type":"{event_type}","src_ip":"203.0.113.{}","src_port":{},"dest_ip":"198.51.100.7","dest_port":443,"proto":"TCP","pkt_src":"wire/pcap","#,
        index % 60,
        index * 7,
        1_000_000_000_000_000u64 + u64::from(index),
        index % 250,
        1_024 + index
    )
}

fn transaction(index: u32) -> String {
    format!(
        r#""http":{{"hostname":"shop.example.test","url":"/product/{index}?q=%27%20OR%201%3D1--%20&page={}","http_user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36","http_content_type":"text/html","xff":"192.0.2.{}","http_method":"GET","protocol":"HTTP/1.1","status":200,"length":{index}}}"#,
        index % 250,
        index % 250
    )
}

fn alert(index: u32) -> String {
    let rule = r#""alert":{"action":"allowed","gid":1,"signature_id":2006446,"rev":14,"signature":"ET WEB_SERVER Possible SQL Injection Attempt UNION SELECT","category":"Web Application Attack","severity":1,"metadata":{"affected_product":["Web_Server_Applications"],"attack_target":["Web_Server"],"created_at":["2010_07_30"],"deployment":["Datacenter"],"signature_severity":["Major"],"updated_at":["2020_09_14"]}},"#;
    let (low, port) = (index % 250, 1_024 + index);
    let flow = format!(
        r#""app_proto":"http","direction":"to_server","flow":{{"pkts_toserver":4,"pkts_toclient":3,"bytes_toserver":{port},"bytes_toclient":1654,"start":"2026-11-23T17:02:{:02}.000000+0000","src_ip":"203.0.113.{low}","dest_ip":"198.51.100.7","src_port":{port},"dest_port":443}}"#,
        index % 60
    );
    let payload = format!(
        r#""payload_printable":"GET /product/{index}?q=%27%20OR%201%3D1--%20&page={low} HTTP/1.1\r\nHost: shop.example.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.9\r\nX-Forwarded-For: 192.0.2.{low}\r\n\r\n","stream":1"#
    );
    let metadata = r#""metadata":{"flowbits":["http.dottedquadhost","ET.formdata"]},"#;
    format!("{}{metadata}\"tx_id\":{},{rule}{},{flow},{payload}}}", head(index, "alert"), index % 9, transaction(index))
}

fn http(index: u32) -> String {
    let headers = r#""request_headers":[{"name":"Host","value":"shop.example.test"},{"name":"Accept-Language","value":"en-US,en;q=0.9"}],"response_headers":[{"name":"Server","value":"nginx"},{"name":"Vary","value":"Accept-Encoding"}]"#;
    let transaction = transaction(index);
    let inner = transaction.trim_end_matches('}');
    format!("{}\"tx_id\":{},{inner},{headers}}}}}", head(index, "http"), index % 9)
}

fn tls(index: u32) -> String {
    format!(
        r#"{}"tls":{{"subject":"CN=shop.example.test","issuerdn":"C=US, O=Let's Encrypt, CN=R3","serial":"04:5F:B0:1A:2F:9C:7B:5D:00:{index:04X}","fingerprint":"3e:1f:9a:5b:77:0c:5d:ee:10:94:2a:6f:81:bb:c3:d0:12:34:56:78","sni":"shop.example.test","version":"TLS 1.3","notbefore":"2026-10-01T00:00:00","notafter":"2026-12-30T00:00:00","ja3":{{"hash":"e7d705a3286e19ea42f587b344ee6865","string":"771,4865-4866-4867-49195-49199,0-23-65281-10-11-35-16-5-13-18-51-45-43-27-21,29-23-24,0"}},"ja3s":{{"hash":"f4febc55ea12b31ae17cfb7e614afda8","string":"771,4865,43-51"}}}}}}"#,
        head(index, "tls")
    )
}

fn flow(index: u32) -> String {
    format!(
        r#"{}"app_proto":"tls","flow":{{"pkts_toserver":14,"pkts_toclient":13,"bytes_toserver":{index},"bytes_toclient":16540,"start":"2026-11-23T17:01:{:02}.000000+0000","end":"2026-11-23T17:02:{:02}.000000+0000","age":60,"state":"closed","reason":"timeout","alerted":false}},"tcp":{{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1b","syn":true,"fin":true,"psh":true,"ack":true,"state":"closed"}}}}"#,
        head(index, "flow"),
        index % 60,
        index % 60
    )
}

fn access(index: u32) -> String {
    format!(
        r#"{{"time":"2026-11-23T17:06:{:02}+00:00","remote_addr":"203.0.113.{}","remote_user":"","request_method":"GET","request_uri":"/product/{index}?page=2","server_protocol":"HTTP/1.1","status":200,"body_bytes_sent":{},"request_time":0.131,"upstream_response_time":"0.010","http_referer":"https://shop.example.test/","http_user_agent":"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0","host":"shop.example.test","request_id":"6e47f299b1cedfa364cd3251{index:08x}"}}"#,
        index % 60,
        index % 250,
        1_000 + index
    )
}

fn nginx() -> JsonSettings {
    let plain = |path: &str, field: &str| {
        (path.to_owned(), Target { field: Field::of(field), unit: Unit::AsIs, values: Vec::new() })
    };
    let fields = vec![
        plain("time", "@timestamp"),
        plain("remote_addr", "source.address"),
        plain("remote_user", "user.name"),
        plain("request_method", "http.request.method"),
        plain("request_uri", "url.original"),
        plain("server_protocol", "http.version"),
        plain("status", "http.response.status_code"),
        plain("body_bytes_sent", "http.response.body.bytes"),
        plain("http_referer", "http.request.referrer"),
        plain("http_user_agent", "user_agent.original"),
        plain("host", "url.domain"),
        plain("request_id", "http.request.id"),
        (
            "request_time".to_owned(),
            Target { field: Field::of("event.duration"), unit: Unit::Seconds, values: Vec::new() },
        ),
    ];
    JsonSettings { fields, rest: Some("nginx.access".to_owned()), ..JsonSettings::default() }
}

/// One pass over all records with one arena, as a batch is decoded.
fn pass(records: &[String], decode: impl for<'a> Fn(&'a str, &Context<'_>, &mut Event<'a>) -> bool) {
    let context = Context { reference: Time(1_795_453_570_051), zone: &TimeZone::UTC };
    let mut arena = Bump::new();
    for chunk in records.chunks(100) {
        for record in chunk {
            let mut event = Event::new(record.as_bytes(), &arena);
            assert!(decode(record, &context, &mut event));
            black_box(&event);
        }
        arena.reset();
    }
}

fn value(records: &[String]) {
    for record in records {
        black_box(serde_json::from_slice::<serde_json::Value>(record.as_bytes()).ok());
    }
}

fn json(criterion: &mut Criterion) {
    let few = Keep::Named(BTreeSet::from(["suricata.eve.event_type".to_owned(), "dns.question.name".to_owned()]));
    let records: Vec<String> = (0..RECORDS).map(eve).collect();
    let mut group = criterion
        .benchmark_group(format!("eve of {} bytes", records.iter().map(String::len).sum::<usize>() / records.len()));
    group.throughput(Throughput::Elements(RECORDS.into()));
    for (name, keep) in [("few fields kept", &few), ("all fields kept", &Keep::All)] {
        let decoder = SuricataDecoder::new(keep);
        group.bench_function(name, |bencher| {
            bencher.iter(|| pass(&records, |item, context, event| decoder.decode(item, context, event)));
        });
    }
    group.bench_function("serde_json value", |bencher| bencher.iter(|| value(&records)));
    group.finish();

    let records: Vec<String> = (0..RECORDS).map(access).collect();
    let mut group = criterion.benchmark_group(format!("nginx of {} bytes", records[0].len()));
    group.throughput(Throughput::Elements(RECORDS.into()));
    let decoder = JsonDecoder::new(&nginx(), &few);
    group.bench_function("few fields kept", |bencher| {
        bencher.iter(|| pass(&records, |item, context, event| decoder.decode(item, context, event)));
    });
    group.bench_function("serde_json value", |bencher| bencher.iter(|| value(&records)));
    group.finish();
}

criterion_group!(benches, json);
criterion_main!(benches);
