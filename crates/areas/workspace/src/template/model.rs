//! Templates as the API shows them.

use serde::Serialize;
use utoipa::ToSchema;

use super::ToolFound;
use super::manifest::{Manifest, Parameter};

/// A template.
#[derive(Serialize, ToSchema)]
#[schema(as = Template)]
pub struct TemplateView {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// More for people.
    pub description: String,
    /// The language.
    pub language: Option<String>,
    /// A word for a picture.
    pub icon: Option<String>,
    /// What must be on the machine.
    pub tools: Vec<ToolView>,
    /// Are all tools here?
    pub available: bool,
    /// Those that are not.
    pub missing: Vec<String>,
    /// What the creator may set.
    pub parameters: Vec<Parameter>,
}

/// A tool and whether it is here.
#[derive(Serialize, ToSchema)]
#[schema(as = TemplateTool)]
pub struct ToolView {
    /// Its name.
    pub name: String,
    /// Is it here, in a version that will do?
    pub found: bool,
    /// The version that is here.
    pub version: Option<String>,
}

impl TemplateView {
    /// The template with what was found of its tools.
    pub fn new(m: Manifest, tools: Vec<ToolFound>) -> Self {
        let missing: Vec<String> = tools.iter().filter(|t| !t.found).map(|t| t.name.clone()).collect();
        Self {
            name: m.name,
            title: m.title,
            description: m.description,
            language: m.language,
            icon: m.icon,
            tools: tools.into_iter().map(|t| ToolView { name: t.name, found: t.found, version: t.version }).collect(),
            available: missing.is_empty(),
            missing,
            parameters: m.parameters,
        }
    }
}
