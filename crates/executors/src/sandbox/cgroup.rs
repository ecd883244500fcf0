//! Control groups of jobs: memory, CPU and process limits, and the certain end of everything a job started.
//! Version 2 where it is mounted with its controllers, else version 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::usage::{Memory, Reading};

const ROOT: &str = "/sys/fs/cgroup";
/// Our branch of the tree.
const BRANCH: &str = "devmentor-runner";

/// What one job may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: u64,
    /// Cores, such as 1.5.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u64,
    /// Open files of one process.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
        Self {
            memory: memory.map_or(4 << 30, |kib| kib * 1024 / 4 * 3),
            cpus: std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64),
            pids: 4096,
            files: 65_536,
        }
    }
}

/// Where groups can be made on this machine.
#[derive(Clone, Debug)]
pub(crate) enum Cgroups {
    /// The unified tree.
    V2(PathBuf),
    /// One tree per controller.
    V1(Vec<(&'static str, PathBuf)>),
}

/// The group of one job.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    dirs: Vec<PathBuf>,
    v2: bool,
}

impl Cgroups {
    /// Finds a tree we may write; the error says in words why there is none.
    pub(crate) fn find() -> Result<Self, String> {
        let root = Path::new(ROOT);
        if root.join("cgroup.controllers").exists() {
            let branch = root.join(BRANCH);
            let made = enable(root).and_then(|()| make(&branch)).and_then(|()| enable(&branch));
            // without it, what is read and written is asked of the programs
            let _ = fs::write(root.join("cgroup.subtree_control"), "+io");
            let _ = fs::write(branch.join("cgroup.subtree_control"), "+io");
            return made.map(|()| Self::V2(branch)).map_err(|e| format!("cgroup v2 cannot be written: {e}"));
        }
        let mut found = Vec::new();
        for controller in ["memory", "cpu", "pids"] {
            let branch = root.join(controller).join(BRANCH);
            if root.join(controller).is_dir() && make(&branch).is_ok() {
                found.push((controller, branch));
            }
        }
        if found.is_empty() {
            return Err(format!("no cgroup controller under {ROOT} can be written"));
        }
        // this one limits nothing, it only counts
        let branch = root.join("cpuacct").join(BRANCH);
        if root.join("cpuacct").is_dir() && make(&branch).is_ok() {
            found.push(("cpuacct", branch));
        }
        Ok(Self::V1(found))
    }

    /// Makes the group of a job with its limits.
    pub(crate) fn create(&self, name: &str, limits: &Limits) -> io::Result<Group> {
        let period = 100_000u64;
        let quota = (limits.cpus.max(0.01) * period as f64) as u64;
        match self {
            Self::V2(branch) => {
                let dir = branch.join(name);
                make(&dir)?;
                fs::write(dir.join("memory.max"), limits.memory.to_string())?;
                // without this a limit only moves the job to swap
                let _ = fs::write(dir.join("memory.swap.max"), "0");
                fs::write(dir.join("pids.max"), limits.pids.to_string())?;
                fs::write(dir.join("cpu.max"), format!("{quota} {period}"))?;
                Ok(Group { dirs: vec![dir], v2: true })
            }
            Self::V1(branches) => {
                let mut dirs = Vec::new();
                for (controller, branch) in branches {
                    let dir = branch.join(name);
                    make(&dir)?;
                    match *controller {
                        "memory" => {
                            fs::write(dir.join("memory.limit_in_bytes"), limits.memory.to_string())?;
                            let _ = fs::write(dir.join("memory.memsw.limit_in_bytes"), limits.memory.to_string());
                        }
                        "pids" => fs::write(dir.join("pids.max"), limits.pids.to_string())?,
                        "cpuacct" => {}
                        _ => {
                            let _ = fs::write(dir.join("cpu.cfs_period_us"), period.to_string());
                            let _ = fs::write(dir.join("cpu.cfs_quota_us"), quota.to_string());
                        }
                    }
                    dirs.push(dir);
                }
                Ok(Group { dirs, v2: false })
            }
        }
    }

    /// Ends and removes a group an earlier life may have left behind.
    pub(crate) fn remove(&self, name: &str) {
        let (branches, v2): (Vec<&PathBuf>, bool) = match self {
            Self::V2(branch) => (vec![branch], true),
            Self::V1(branches) => (branches.iter().map(|(_, b)| b).collect(), false),
        };
        let dirs = branches.into_iter().map(|b| b.join(name)).filter(|dir| dir.is_dir()).collect();
        Group { dirs, v2 }.destroy();
    }
}

impl Group {
    /// Files a process writes `0` to in order to enter.
    pub(crate) fn doors(&self) -> Vec<String> {
        self.dirs.iter().map(|d| d.join("cgroup.procs").to_string_lossy().into_owned()).collect()
    }

    /// How often the kernel killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let files = ["memory.events", "memory.oom_control"];
        let texts = self.dirs.iter().flat_map(|d| files.iter().filter_map(|f| fs::read_to_string(d.join(f)).ok()));
        texts.flat_map(|text| text.lines().filter_map(|l| l.strip_prefix("oom_kill ")?.trim().parse().ok()).collect::<Vec<u64>>()).sum()
    }

    /// A file of the group, wherever it is.
    fn file(&self, name: &str) -> Option<String> {
        self.dirs.iter().find_map(|dir| fs::read_to_string(dir.join(name)).ok())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.file(name)?.trim().parse().ok()
    }

    /// What the group has used so far.
    pub(crate) fn read(&self) -> Reading {
        let memory = self.memory();
        if !self.v2 {
            let micros = |name: &str| Some(self.number(name)? / 1000);
            // of what is read and written, version 1 sees only a part, and says zero
            return Reading { user: micros("cpuacct.usage_user"), system: micros("cpuacct.usage_sys"), read: None, written: None, memory };
        }
        let cpu = self.file("cpu.stat").unwrap_or_default();
        let io = self.file("io.stat");
        let sum = |name: &str| {
            let words = io.as_ref()?.split_whitespace();
            Some(words.filter_map(|w| w.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok()).sum())
        };
        Reading { user: field(&cpu, "user_usec"), system: field(&cpu, "system_usec"), read: sum("rbytes"), written: sum("wbytes"), memory }
    }

    /// Memory of the group now.
    pub(crate) fn memory(&self) -> Option<Memory> {
        let (whole, cache, peak) = if self.v2 {
            ("memory.current", "file", "memory.peak")
        } else {
            ("memory.usage_in_bytes", "cache", "memory.max_usage_in_bytes")
        };
        let whole = self.number(whole)?;
        let stat = self.file("memory.stat")?;
        // shared memory is counted as cache, but nobody can take it back
        let cache = field(&stat, cache)?.saturating_sub(field(&stat, "shmem").unwrap_or(0));
        Some(Memory { whole, cache, peak: self.number(peak) })
    }

    /// The next peak of memory is one of its own, where the kernel can forget the last.
    pub(crate) fn forget_peak(&self) {
        if !self.v2 {
            for dir in &self.dirs {
                let file = dir.join("memory.max_usage_in_bytes");
                if file.exists() {
                    let _ = fs::write(file, "0");
                }
            }
        }
    }

    /// Kills what is inside until nothing is, then removes the group.
    pub(crate) fn destroy(&self) {
        for dir in &self.dirs {
            for round in 0..50 {
                if self.v2 {
                    let _ = fs::write(dir.join("cgroup.kill"), "1");
                }
                let inside = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
                for pid in inside.lines().filter_map(|l| l.parse().ok()).filter(|&pid: &i32| pid > 0) {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
                if fs::remove_dir(dir).is_ok() || !dir.exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(2 + round));
            }
        }
    }
}

/// A line `name value`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn enable(dir: &Path) -> io::Result<()> {
    let here = fs::read_to_string(dir.join("cgroup.controllers"))?;
    for controller in ["memory", "cpu", "pids"] {
        if !here.split_whitespace().any(|c| c == controller) {
            return Err(io::Error::other(format!("{} lacks the {controller} controller", dir.display())));
        }
        fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_version_2() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let group = Group { dirs: vec![dir.path().to_owned()], v2: true };
        assert_eq!(group.read(), Reading::default(), "nothing is known where there are no files");
        write("cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 0\n");
        write("memory.current", "1000\n");
        write("memory.stat", "anon 500\nfile 400\nfile_mapped 7\nshmem 100\n");
        write("memory.peak", "2000\n");
        write("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n");
        let memory = Some(Memory { whole: 1000, cache: 300, peak: Some(2000) });
        assert_eq!(group.read(), Reading { user: Some(20), system: Some(10), read: Some(11), written: Some(22), memory });
    }

    #[test]
    fn files_of_version_1() {
        let dir = tempfile::tempdir().unwrap();
        let (cpu, memory) = (dir.path().join("cpuacct"), dir.path().join("memory"));
        for (dir, name, text) in [
            (&cpu, "cpuacct.usage_user", "20000000\n"),
            (&cpu, "cpuacct.usage_sys", "10000000\n"),
            (&memory, "memory.usage_in_bytes", "1000\n"),
            (&memory, "memory.stat", "cache 400\nrss 600\nshmem 100\n"),
            (&memory, "memory.max_usage_in_bytes", "2000\n"),
        ] {
            fs::create_dir_all(dir).unwrap();
            fs::write(dir.join(name), text).unwrap();
        }
        let group = Group { dirs: vec![cpu, memory.clone()], v2: false };
        let seen = Some(Memory { whole: 1000, cache: 300, peak: Some(2000) });
        assert_eq!(group.read(), Reading { user: Some(20_000), system: Some(10_000), read: None, written: None, memory: seen });
        group.forget_peak();
        assert_eq!(fs::read_to_string(memory.join("memory.max_usage_in_bytes")).unwrap(), "0");
    }
}
