//! A message for a thousand subscribers: what making the bytes costs, whoever shares them.

use benches::{template, text};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stomp::MessageTemplate;
use websocket::{DataKind, FrameBuffer};

const SUBSCRIBERS: usize = 1_000;

fn frame(message: &MessageTemplate, subscription: &str) -> Bytes {
    let mut frame = FrameBuffer::with_capacity(message.capacity(Some(subscription)));
    message.write(frame.payload_mut(), Some(subscription), None);
    frame.finish(DataKind::Text)
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a message of 120 bytes for 1,000");
    group.throughput(Throughput::Elements(SUBSCRIBERS as u64));
    let body = text(120);
    let mut queued: Vec<Bytes> = Vec::with_capacity(SUBSCRIBERS);
    group.bench_function("with one subscription id", |bencher| {
        bencher.iter(|| {
            queued.clear();
            let shared = frame(&template(&body), "chat");
            queued.extend(std::iter::repeat_n(shared, SUBSCRIBERS));
        });
    });
    let ids: Vec<String> = (0..SUBSCRIBERS).map(|id| format!("sub-{id}")).collect();
    group.bench_function("each with its own", |bencher| {
        bencher.iter(|| {
            queued.clear();
            let message = template(&body);
            queued.extend(ids.iter().map(|id| frame(&message, id)));
        });
    });
    group.finish();
}

criterion_group!(fan_out, frames);
criterion_main!(fan_out);
