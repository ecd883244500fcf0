//! `pipeline lint|plan`: the compiler of pipeline files, without a server.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::run::located;
use crate::args::Pipeline;
use crate::failure::{Failure, Result};
use crate::output::{Format, line};

pub(super) fn run(command: Pipeline, json: bool) -> Result {
    let format = if json { Format::Json } else { Format::Human };
    todo_placeholder(command, format)
}
