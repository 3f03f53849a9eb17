//! Stands between clients and a server, and does to the tenth message on each connection what a broker must not
//! do.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    Drop,
    Repeat,
    /// With the next one.
    Swap,
    Alter,
    Close,
}

#[derive(Debug)]
pub(crate) struct Meddler(SocketAddr);

impl Meddler {
    /// Its threads end with the connections; the one that accepts, with the test.
    pub(crate) fn start(server: SocketAddr, mischief: Mischief) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client?;
                let server = TcpStream::connect(server)?;
                let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
                thread::spawn(move || {
                    // Either side may go at any time.
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                thread::spawn(move || {
                    let _ = meddle(&server, &client, mischief);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
            io::Result::Ok(())
        });
        Ok(Self(address))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0
    }
}

fn meddle(mut from: &TcpStream, mut to: &TcpStream, mischief: Mischief) -> io::Result<()> {
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        response.push(byte[0]);
    }
    to.write_all(&response)?;
    let mut messages = 0;
    let mut held: Option<Vec<u8>> = None;
    loop {
        let mut frame = read_frame(&mut from)?;
        if !frame[..30.min(frame.len())].windows(8).any(|window| window == b"MESSAGE\n") {
            to.write_all(&frame)?;
            continue;
        }
        messages += 1;
        let chosen = messages == 10;
        match mischief {
            Mischief::Drop if chosen => continue,
            Mischief::Repeat if chosen => to.write_all(&frame)?,
            Mischief::Swap if chosen => {
                held = Some(frame);
                continue;
            }
            Mischief::Alter if chosen => {
                let padding = frame.len() - 2;
                frame[padding] = b'!';
            }
            Mischief::Close if chosen => return Ok(()),
            _ => {}
        }
        to.write_all(&frame)?;
        if let Some(held) = held.take() {
            to.write_all(&held)?;
        }
    }
}

/// A frame of a server, which is not masked.
fn read_frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    from.read_exact(&mut frame)?;
    let length = if frame[1] == 126 {
        frame.resize(4, 0);
        from.read_exact(&mut frame[2..])?;
        usize::from(u16::from_be_bytes([frame[2], frame[3]]))
    } else {
        usize::from(frame[1])
    };
    let start = frame.len();
    frame.resize(start + length, 0);
    from.read_exact(&mut frame[start..])?;
    Ok(frame)
}
