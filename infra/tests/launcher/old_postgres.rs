//! A server that speaks PostgreSQL's protocol far enough to say that it is version 14.
//!
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use std::{
    io::{Read, Result, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

/// Starts it for one connection.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // The client leaves when it has seen enough.
        let _ = serve(stream);
    });
    address
}

fn serve(mut stream: TcpStream) -> Result<()> {
    read_body(&mut stream)?;
    let mut answer = message(b'R', &0_i32.to_be_bytes());
    answer.extend(message(b'Z', b"I"));
    stream.write_all(&answer)?;
    answer.clear();
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        read_body(&mut stream)?;
        match kind[0] {
            b'P' => answer.extend(message(b'1', b"")),
            b'D' => answer.extend([message(b't', &[0, 0]), message(b'T', &columns())].concat()),
            b'B' => answer.extend(message(b'2', b"")),
            b'E' => answer.extend([message(b'D', &row()), message(b'C', b"SELECT 1\0")].concat()),
            b'C' => answer.extend(message(b'3', b"")),
            b'S' => {
                answer.extend(message(b'Z', b"I"));
                stream.write_all(&answer)?;
                answer.clear();
            }
            _ => return Ok(()),
        }
    }
}

fn read_body(stream: &mut TcpStream) -> Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let rest = usize::try_from(u32::from_be_bytes(length)).unwrap() - 4;
    stream.read_exact(&mut vec![0; rest])
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// An int4 and a text.
fn columns() -> Vec<u8> {
    let column = |name: &str, oid: u32, size: i16| {
        let rest = [&[0; 6][..], &oid.to_be_bytes(), &size.to_be_bytes(), &[0xff; 4], &[0, 0]].concat();
        [name.as_bytes(), b"\0", &rest].concat()
    };
    [&[0, 2][..], &column("a", 23, 4), &column("b", 25, -1)].concat()
}

/// In binary, as the client asks.
fn row() -> Vec<u8> {
    [&[0, 2, 0, 0, 0, 4][..], &140_009_u32.to_be_bytes(), &4_u32.to_be_bytes(), b"14.9"].concat()
}
