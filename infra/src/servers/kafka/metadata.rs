//! Just enough of Kafka's protocol to know that a broker works: it answers a Metadata request.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Size; key 3 (Metadata), version 1, correlation 1, no client id; no topics. The oldest version whose empty
/// list of topics means none.
const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];

/// Returns once the broker on `port` of this machine knows `count` brokers.
pub(super) async fn shows_brokers(port: u16, count: usize) {
    while brokers(port).await.unwrap_or(0) < count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn brokers(port: u16) -> io::Result<usize> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(&REQUEST).await?;
    // Size, correlation, the number of brokers.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    let [.., a, b, c, d] = answer;
    Ok(usize::try_from(i32::from_be_bytes([a, b, c, d])).unwrap_or(0))
}
