//! {{ project.name }}: serves the site, and stops on SIGTERM.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tiny_http::Server;

/// Where the site is served when the environment does not say.
const PORT: u16 = {{ port }};

fn main() -> Result<(), Box<dyn Error>> {
    let port = match env::var("PORT") {
        Ok(text) => text
            .parse()
            .map_err(|_| format!("PORT is not a port number: {text}"))?,
        Err(_) => PORT,
    };
    let server = Arc::new(
        Server::http(("0.0.0.0", port))
            .map_err(|error| format!("cannot listen on port {port}: {error}"))?,
    );
    println!("listening on {}", server.server_addr());

    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stopping = Arc::clone(&server);
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            site::stop(&stopping);
        }
    });

    site::serve(&server);
    println!("stopped");
    Ok(())
}
