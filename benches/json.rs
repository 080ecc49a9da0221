//! EVE and nginx JSON records through their decoders, beside a `serde_json::Value` of the same bytes. I/O.
//!
//! The records are generated here. Only the ratio within one run says something on a shared machine: the decoder that
//! keeps few fields takes about 0.4 of the time of `serde_json::Value` for EVE and 0.46 for nginx. Deliberately without an assertion: a wall clock proves nothing in a test.

use std::collections::BTreeSet;
use std::hint::black_box;

use bumpalo::Bump;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use sekisho::decode::{Context, JsonDecoder, JsonSettings, Keep, SuricataDecoder, Target, Unit};
use sekisho::event::{Event, Field, Time};

const RECORDS: u32 = 1_000;

/// An alert of about 1.2 KB on an http transaction, as Suricata 7 writes it.
fn eve(index: u32) -> String {
    let (low, port) = (index % 250, 1_024 + index);
    let target = format!("/product/{index}?q=%27%20OR%201%3D1--%20&page={low}");
    let head = format!(
        r#"{{"timestamp":"2026-11-23T17:02:{:02}.{:06}+0000","flow_id":{},"in_iface":"eth0","event_type":"alert","#,
        index % 60,
        index * 7,
        1_000_000_000_000_000u64 + u64::from(index)
    );
    let peers = format!(
        r#""src_ip":"203.0.113.{low}","src_port":{port},"dest_ip":"198.51.100.7","dest_port":443,"proto":"TCP","pkt_src":"wire/pcap","metadata":{{"flowbits":["http.dottedquadhost","ET.formdata"]}},"tx_id":{},"#,
        index % 9
    );
    let alert = r#""alert":{"action":"allowed","gid":1,"signature_id":2006446,"rev":14,"signature":"ET WEB_SERVER Possible SQL Injection Attempt UNION SELECT","category":"Web Application Attack","severity":1,"metadata":{"affected_product":["Web_Server_Applications"],"attack_target":["Web_Server"],"created_at":["2010_07_30"],"deployment":["Datacenter"],"signature_severity":["Major"],"updated_at":["2020_09_14"]}},"#;
    let http = format!(
        r#""http":{{"hostname":"shop.example.test","url":"{target}","http_user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36","http_content_type":"text/html","xff":"192.0.2.{low}","http_method":"GET","protocol":"HTTP/1.1","status":200,"length":{port}}},"#
    );
    let flow = format!(
        r#""app_proto":"http","direction":"to_server","flow":{{"pkts_toserver":4,"pkts_toclient":3,"bytes_toserver":{port},"bytes_toclient":1654,"start":"2026-11-23T17:02:{:02}.000000+0000","src_ip":"203.0.113.{low}","dest_ip":"198.51.100.7","src_port":{port},"dest_port":443}}}}"#,
        index % 60
    );
    format!("{head}{peers}{alert}{http}{flow}")
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
fn pass(records: &[String], decode: impl for<'a> Fn(&'a [u8], &Context<'_>, &mut Event<'a>) -> bool) {
    let context = Context { reference: Time(1_795_453_570_051), zone: &TimeZone::UTC };
    let mut arena = Bump::new();
    for chunk in records.chunks(100) {
        for record in chunk {
            let mut event = Event::new(record.as_bytes(), &arena);
            assert!(decode(record.as_bytes(), &context, &mut event));
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
    let mut group = criterion.benchmark_group(format!("eve of {} bytes", records[0].len()));
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
