//! WebSocket: a client's frame received, a server's written, both compressed.

use benches::{masked, send, template, text};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use websocket::{DataKind, Deflate, FrameBuffer, Limits, Receiver, Role};

const LIMITS: Limits = Limits { message_bytes: 1 << 20 };

/// Until everything is taken.
fn receive_all(receiver: &mut Receiver, input: &mut [u8]) -> usize {
    let (mut at, mut bytes) = (0, 0);
    while at < input.len() {
        let (used, event) = receiver.receive(&mut input[at..]).expect("the frames are sound");
        at += used;
        if let Some(websocket::Event::Data { bytes: part, .. }) = event {
            bytes += part.len();
        }
    }
    bytes
}

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive a masked frame");
    for size in [16, 120, 1_000, 16_000, 64_000] {
        let frame = masked(&text(size));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("of {size} bytes"), |bencher| {
            let mut receiver = Receiver::new(Role::Server, LIMITS, None);
            bencher.iter_batched_ref(
                || frame.clone(),
                |input| receive_all(&mut receiver, input),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("receive");
    let many: Vec<u8> = masked(&send(120)).repeat(100);
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 SENDs at once", |bencher| {
        let mut receiver = Receiver::new(Role::Server, LIMITS, None);
        bencher.iter_batched_ref(
            || many.clone(),
            |input| receive_all(&mut receiver, input),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write a MESSAGE's frame");
    for size in [120, 1_000, 16_000] {
        let message = template(&text(size));
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("of {size} bytes"), |bencher| {
            bencher.iter(|| {
                let mut frame = FrameBuffer::with_capacity(message.capacity(Some("chat")));
                message.write(frame.payload_mut(), Some("chat"), None);
                frame.finish(DataKind::Text)
            });
        });
    }
    group.finish();
}

fn deflate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("permessage-deflate");
    let deflate = Deflate::default();
    for size in [120, 1_000, 16_000] {
        let payload = send(size);
        group.throughput(Throughput::Bytes(payload.len() as u64));
        group.bench_function(format!("compress {size} bytes"), |bencher| {
            bencher.iter(|| deflate.compress(DataKind::Text, &payload));
        });
        let mut frame = Vec::new();
        assert!(deflate.compress_masked(DataKind::Text, &payload, [1, 2, 3, 4], &mut frame));
        group.bench_function(format!("receive {size} compressed bytes"), |bencher| {
            let mut receiver = Receiver::new(Role::Server, LIMITS, Some(deflate));
            bencher.iter_batched_ref(
                || frame.clone(),
                |input| receive_all(&mut receiver, input),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(framing, receive, write, deflate);
criterion_main!(framing);
