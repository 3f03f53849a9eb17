//! The addresses of an instance's services.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use anyhow::{Context, Result, bail};

use crate::servers::port;

/// `address`, with a free port in place of port 0, after a check that one can listen there: before PostgreSQL
/// is started, so that a taken port leaves nothing half-started. `setting` moves it.
pub fn settle(address: SocketAddr, setting: &str) -> Result<SocketAddr> {
    let address = match address.port() {
        0 => {
            let [port] = port::free()?;
            SocketAddr::new(address.ip(), port)
        }
        _ => address,
    };
    let Err(error) = TcpListener::bind(address) else { return Ok(address) };
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => format!("{address} is already in use"),
        io::ErrorKind::PermissionDenied => format!("this user may not listen on {address}"),
        io::ErrorKind::AddrNotAvailable => format!("{address} is not an address of this machine"),
        _ => format!("cannot listen on {address}: {error}"),
    };
    bail!("{reason} (set {setting} to another)")
}

/// The address `by` ports higher, for a second node; any free port stays that.
pub fn next_to(address: SocketAddr, by: u16) -> Result<SocketAddr> {
    let port = match address.port() {
        0 => 0,
        port => port.checked_add(by).with_context(|| format!("no port is left above {address}"))?,
    };
    Ok(SocketAddr::new(address.ip(), port))
}

/// How a browser on this machine reaches `address`.
pub fn local_host_and_port(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

/// The origins of pages that come from `apis`.
pub fn origins(apis: &[SocketAddr]) -> Vec<String> {
    let names = |api: &SocketAddr| {
        let port = api.port();
        let mut names =
            vec![format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
        if !api.ip().is_loopback() && !api.ip().is_unspecified() {
            names.push(api.to_string());
        }
        names
    };
    apis.iter().flat_map(names).map(|name| format!("http://{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_itself_and_its_setting() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind(taken).unwrap();
        let error = settle(taken, "MOYIZA_API_ADDR").unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()) && error.contains("MOYIZA_API_ADDR"), "{error}");
        drop(listener);
        assert_eq!(settle(taken, "MOYIZA_API_ADDR").unwrap(), taken);
    }

    #[test]
    fn a_page_may_come_by_every_name_of_its_api() {
        let apis = ["0.0.0.0:8080".parse().unwrap(), "10.0.0.1:8090".parse().unwrap()];
        let origins = origins(&apis);
        assert_eq!(origins.len(), 7);
        assert!(origins.contains(&"http://[::1]:8080".to_owned()));
        assert!(origins.contains(&"http://10.0.0.1:8090".to_owned()));
    }
}
