//! Free ports.

use std::{
    collections::HashSet,
    fs,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

use anyhow::{Context, Result, bail};

/// Below it are the ports that machines have services of their own on.
const FIRST: u16 = 10_000;
/// Tries for each port: most of the range is free on any machine.
const TRIES: u32 = 200;

/// `N` different ports of 127.0.0.1 on which nobody listens. Another process may take one before it is used;
/// who starts a server tries again then.
///
/// They lie outside the range from which the system takes the near ends of outgoing connections: while a server is
/// down, a client that keeps trying to reach it would in the end get the server's own port as its near end, be
/// connected to itself, and keep the server from coming back.
pub fn free<const N: usize>() -> Result<[u16; N]> {
    let range = range();
    let mut ports = [0; N];
    let mut taken = HashSet::new();
    for port in &mut ports {
        *port = one(&range, &mut taken)?;
    }
    Ok(ports)
}

fn one(range: &Range<u16>, taken: &mut HashSet<u16>) -> Result<u16> {
    for _ in 0..TRIES {
        let port = range.start + u16::try_from(getrandom::u32()? % u32::from(range.end - range.start))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && taken.insert(port) {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 between {} and {}", range.start, range.end)
}

/// What lies between services and outgoing connections; where that is nothing, any port will have to do.
fn range() -> Range<u16> {
    let outgoing = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    let first = outgoing.context("not on Linux").and_then(|text| {
        let first = text.split_whitespace().next().context("an empty file")?;
        Ok(first.parse::<u16>()?)
    });
    match first {
        Ok(end) if end > FIRST + 1_000 => FIRST..end,
        _ => FIRST..u16::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_never_the_near_end_of_a_connection() {
        let ports: [u16; 40] = free().unwrap();
        assert_eq!(HashSet::from(ports).len(), 40);
        let range = range();
        assert!(ports.iter().all(|port| range.contains(port)));
    }
}
