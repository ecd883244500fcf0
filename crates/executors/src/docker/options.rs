//! `options:` of a container: those of `docker create` that cannot open the machine to the job.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig};

/// Carries the options into a container's configuration.
///
/// # Errors
/// An option that is not known, not allowed or has no value.
pub(super) fn apply(text: &str, body: &mut ContainerCreateBody, host: &mut HostConfig, aliases: &mut Vec<String>) -> Result<(), String> {
    let mut words = words(text)?.into_iter();
    let mut health = HealthConfig::default();
    let mut healthy = false;
    while let Some(word) = words.next() {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) if word.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (word.clone(), None),
        };
        if name == "--init" || name == "--read-only" {
            if name == "--init" {
                host.init = Some(true);
            } else {
                host.readonly_rootfs = Some(true);
            }
            continue;
        }
        if name == "--no-healthcheck" {
            health.test = Some(vec!["NONE".into()]);
            healthy = true;
            continue;
        }
        let known = KNOWN.contains(&name.as_str());
        if !known {
            return Err(format!("the option `{name}` is not supported for containers of a job"));
        }
        let value = inline.or_else(|| words.next()).ok_or_else(|| format!("the option `{name}` needs a value"))?;
        let bad = || format!("`{value}` is not a value for `{name}`");
        match name.as_str() {
            "--health-cmd" => health.test = Some(vec!["CMD-SHELL".into(), value]),
            "--health-interval" => health.interval = Some(duration(&value).ok_or_else(bad)?),
            "--health-timeout" => health.timeout = Some(duration(&value).ok_or_else(bad)?),
            "--health-start-period" => health.start_period = Some(duration(&value).ok_or_else(bad)?),
            "--health-retries" => health.retries = Some(value.parse().map_err(|_| bad())?),
            "-e" | "--env" => body.env.get_or_insert_default().push(value),
            "-u" | "--user" => body.user = Some(value),
            "-w" | "--workdir" => body.working_dir = Some(value),
            "-h" | "--hostname" => body.hostname = Some(value),
            "-l" | "--label" => {
                let (key, value) = value.split_once('=').unwrap_or((&value, ""));
                if key.starts_with("devmentor.") {
                    return Err(format!("the label `{key}` is reserved"));
                }
                body.labels.get_or_insert_default().insert(key.to_owned(), value.to_owned());
            }
            "--entrypoint" => body.entrypoint = Some(vec![value]),
            "--network-alias" => aliases.push(value),
            "--cpus" => host.nano_cpus = Some((value.parse::<f64>().map_err(|_| bad())? * 1e9) as i64),
            "-m" | "--memory" => host.memory = Some(bytes(&value).ok_or_else(bad)?),
            "--shm-size" => host.shm_size = Some(bytes(&value).ok_or_else(bad)?),
            "--tmpfs" => {
                let (path, options) = value.split_once(':').unwrap_or((&value, ""));
                host.tmpfs.get_or_insert_with(HashMap::new).insert(path.to_owned(), options.to_owned());
            }
            "--stop-signal" => body.stop_signal = Some(value),
            _ => return Err(format!("the option `{name}` is not supported for containers of a job")),
        }
        healthy |= name.starts_with("--health");
    }
    if healthy {
        body.healthcheck = Some(health);
    }
    Ok(())
}

const KNOWN: &[&str] = &[
    "--health-cmd",
    "--health-interval",
    "--health-timeout",
    "--health-start-period",
    "--health-retries",
    "-e",
    "--env",
    "-u",
    "--user",
    "-w",
    "--workdir",
    "-h",
    "--hostname",
    "-l",
    "--label",
    "--entrypoint",
    "--network-alias",
    "--cpus",
    "-m",
    "--memory",
    "--shm-size",
    "--tmpfs",
    "--stop-signal",
];

/// `1m30s`, `10s`, `500ms` in nanoseconds.
fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        total += number
            * match &rest[end..unit_end] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    Some(total as i64)
}

/// `512m`, `1g`, `64k`, `1000`.
fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (number, factor) = match lower.chars().last()? {
        'k' => (&lower[..lower.len() - 1], 1_i64 << 10),
        'm' => (&lower[..lower.len() - 1], 1 << 20),
        'g' => (&lower[..lower.len() - 1], 1 << 30),
        _ => (lower, 1),
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(q) if c == q => quote = None,
            Some('"') | None if c == '\\' => word.get_or_insert_default().extend(chars.next()),
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err("`options` has a quote without its end".into()) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_options() {
        let (mut body, mut host, mut aliases) = (ContainerCreateBody::default(), HostConfig::default(), Vec::new());
        let text = "--health-cmd \"pg_isready -U 'x y'\" --health-interval=10s\n --health-timeout 1m30s --health-retries 5 --memory=512m --network-alias db";
        apply(text, &mut body, &mut host, &mut aliases).unwrap();
        let health = body.healthcheck.unwrap();
        assert_eq!(health.test.unwrap(), ["CMD-SHELL", "pg_isready -U 'x y'"]);
        assert_eq!(health.interval, Some(10_000_000_000));
        assert_eq!(health.timeout, Some(90_000_000_000));
        assert_eq!((health.retries, host.memory, aliases), (Some(5), Some(512 << 20), vec!["db".to_owned()]));
    }

    #[test]
    fn what_would_open_the_machine_is_refused() {
        for text in [
            "--privileged",
            "-v /:/host",
            "--volume=/var/run/docker.sock:/x",
            "--network host",
            "--pid=host",
            "--cap-add SYS_ADMIN",
            "--device /dev/sda",
            "--security-opt apparmor=unconfined",
            "--userns=host",
            "-l devmentor.runner=x",
            "--memory lots",
            "--cpus",
        ] {
            let (mut body, mut host, mut aliases) = (ContainerCreateBody::default(), HostConfig::default(), Vec::new());
            assert!(apply(text, &mut body, &mut host, &mut aliases).is_err(), "{text}");
        }
    }
}
