//! STOMP: a SEND taken apart, a MESSAGE put together.

use benches::{send, template, text};
use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stomp::{Command, Decoder, Frame, Limits, Version, encode};

const SIZES: [usize; 3] = [120, 1_000, 16_000];

fn whole(decoder: &mut Decoder) -> Option<Frame> {
    decoder.decode().expect("the frame is sound")
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode a SEND");
    for size in SIZES {
        let frame = send(size);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(format!("of {size} bytes"), |bencher| {
            let mut decoder = Decoder::new(Limits::default());
            bencher.iter(|| {
                decoder.push(&frame);
                whole(&mut decoder)
            });
        });
        group.bench_function(format!("of {size} bytes, in pieces of 64"), |bencher| {
            let mut decoder = Decoder::new(Limits::default());
            bencher.iter(|| {
                for piece in frame.chunks(64) {
                    decoder.push(piece);
                    if let Some(frame) = whole(&mut decoder) {
                        return Some(frame);
                    }
                }
                unreachable!("the frame is whole")
            });
        });
    }
    group.finish();
}

fn encode_frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let mut out = BytesMut::with_capacity(65_536);
    for size in SIZES {
        let body = text(size);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("a MESSAGE of {size} bytes"), |bencher| {
            bencher.iter(|| {
                out.clear();
                template(&body).write(&mut out, Some("chat"), None);
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("a RECEIPT", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode(&mut out, Version::V12, Command::Receipt, [("receipt-id", "1234")], &[]);
        });
    });
    group.finish();
}

criterion_group!(codec, decode, encode_frames);
criterion_main!(codec);
