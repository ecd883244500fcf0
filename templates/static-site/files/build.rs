//! Puts every file of `public/` into the binary, with the tag that tells browsers whether it changed.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=public");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("public");
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();

    let mut out = String::from("/// Every file, sorted by path.\npub static FILES: &[File] = &[\n");
    for file in files {
        let path = file
            .strip_prefix(&root)?
            .to_str()
            .ok_or("a file name is not UTF-8")?;
        let tag = hash(&fs::read(&file)?);
        writeln!(
            out,
            "    File {{ path: {path:?}, tag: \"\\\"{tag:016x}\\\"\", bytes: include_bytes!({file:?}) }},"
        )?;
    }
    out.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("files.rs"), out)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a: enough to notice that a file changed.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
