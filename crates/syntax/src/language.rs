//! Which language a file is written in, and how that language writes comments and strings.
//!
//! A file is known by its name, then by its extension, then by its `#!` line. Content is never guessed at.

use crate::metrics::Grammar;

/// What a language is for. Only the first two count towards "the language of the project".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Programs.
    Code,
    /// Mark-up and style.
    Markup,
    /// Configuration and data.
    Data,
    /// Text for people.
    Prose,
}

/// A string literal's delimiters, as far as they can hide comment marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// How it begins.
    pub open: &'static str,
    /// How it ends.
    pub close: &'static str,
    /// Does a backslash take the meaning of the next byte?
    pub escapes: bool,
    /// May it run over the end of a line?
    pub multiline: bool,
}

const fn quote(mark: &'static str) -> Quote {
    Quote { open: mark, close: mark, escapes: true, multiline: false }
}
const fn long(mark: &'static str, escapes: bool) -> Quote {
    Quote { open: mark, close: mark, escapes, multiline: true }
}

const DOUBLE: Quote = quote("\"");
const SINGLE: Quote = quote("'");
const DOUBLE_ML: Quote = long("\"", true);
const SINGLE_ML: Quote = long("'", true);
const SINGLE_RAW_ML: Quote = long("'", false);
const BACKTICK: Quote = long("`", true);
const BACKTICK_RAW: Quote = long("`", false);
const TRIPLE: Quote = long("\"\"\"", true);
const TRIPLE_SINGLE: Quote = long("'''", true);

/// How comments and strings look. The longer opening wins where two match.
#[derive(Debug)]
pub struct Lexis {
    /// Marks that start a comment to the end of the line.
    pub line: &'static [&'static str],
    /// Pairs around a comment.
    pub block: &'static [(&'static str, &'static str)],
    /// Do block comments nest?
    pub nested: bool,
    /// String literals.
    pub quotes: &'static [Quote],
    /// `'` is a character or a lifetime, and `r#"…"#` exists.
    pub rust: bool,
    /// A triple-quoted string that begins a line is documentation, so a comment.
    pub docstrings: bool,
}

const fn lexis(line: &'static [&'static str], block: &'static [(&'static str, &'static str)], quotes: &'static [Quote]) -> Lexis {
    Lexis { line, block, nested: false, quotes, rust: false, docstrings: false }
}

static C: Lexis = lexis(&["//"], &[("/*", "*/")], &[DOUBLE, SINGLE]);
static C_NESTED: Lexis = Lexis { nested: true, ..lexis(&["//"], &[("/*", "*/")], &[TRIPLE, DOUBLE, SINGLE]) };
static JAVA: Lexis = lexis(&["//"], &[("/*", "*/")], &[TRIPLE, DOUBLE, SINGLE]);
static CSHARP: Lexis =
    lexis(&["//"], &[("/*", "*/")], &[TRIPLE, Quote { open: "@\"", close: "\"", escapes: false, multiline: true }, DOUBLE, SINGLE]);
static RUST: Lexis = Lexis { nested: true, rust: true, ..lexis(&["//"], &[("/*", "*/")], &[DOUBLE_ML]) };
static JS: Lexis = lexis(&["//"], &[("/*", "*/")], &[DOUBLE, SINGLE, BACKTICK]);
static GO: Lexis = lexis(&["//"], &[("/*", "*/")], &[DOUBLE, SINGLE, BACKTICK_RAW]);
static PYTHON: Lexis = Lexis { docstrings: true, ..lexis(&["#"], &[], &[TRIPLE, TRIPLE_SINGLE, DOUBLE, SINGLE]) };
static RUBY: Lexis = lexis(&["#"], &[("\n=begin", "\n=end")], &[DOUBLE_ML, SINGLE_ML]);
static PHP: Lexis = lexis(&["//", "#"], &[("/*", "*/")], &[DOUBLE_ML, SINGLE_ML]);
static SHELL: Lexis = lexis(&["#"], &[], &[DOUBLE_ML, SINGLE_RAW_ML]);
static HASH: Lexis = lexis(&["#"], &[], &[DOUBLE, SINGLE]);
static TOML: Lexis = lexis(&["#"], &[], &[TRIPLE, long("'''", false), DOUBLE, SINGLE]);
static PERL: Lexis = lexis(&["#"], &[("\n=pod", "\n=cut"), ("\n=head", "\n=cut")], &[DOUBLE_ML, SINGLE_ML]);
static CSS: Lexis = lexis(&[], &[("/*", "*/")], &[DOUBLE, SINGLE]);
static MARKUP: Lexis = lexis(&[], &[("<!--", "-->")], &[]);
static SQL: Lexis = lexis(&["--"], &[("/*", "*/")], &[SINGLE_ML, DOUBLE]);
static LUA: Lexis =
    lexis(&["--"], &[("--[[", "]]")], &[DOUBLE, SINGLE, Quote { open: "[[", close: "]]", escapes: false, multiline: true }]);
static HASKELL: Lexis = Lexis { nested: true, ..lexis(&["--"], &[("{-", "-}")], &[DOUBLE]) };
static ML: Lexis = Lexis { nested: true, ..lexis(&[], &[("(*", "*)")], &[DOUBLE_ML]) };
static FSHARP: Lexis = lexis(&["//"], &[("(*", "*)")], &[TRIPLE, DOUBLE_ML]);
static LISP: Lexis = Lexis { nested: true, ..lexis(&[";"], &[("#|", "|#")], &[DOUBLE_ML]) };
static ERLANG: Lexis = lexis(&["%"], &[], &[DOUBLE, SINGLE]);
static ELIXIR: Lexis = Lexis { docstrings: false, ..lexis(&["#"], &[], &[TRIPLE, DOUBLE_ML, SINGLE_ML]) };
static TEX: Lexis = lexis(&["%"], &[], &[]);
static HCL: Lexis = lexis(&["#", "//"], &[("/*", "*/")], &[DOUBLE]);
static NIX: Lexis = lexis(&["#"], &[("/*", "*/")], &[Quote { open: "''", close: "''", escapes: false, multiline: true }, DOUBLE_ML]);
static JULIA: Lexis = Lexis { nested: true, ..lexis(&["#"], &[("#=", "=#")], &[TRIPLE, DOUBLE]) };
static POWERSHELL: Lexis = lexis(&["#"], &[("<#", "#>")], &[DOUBLE_ML, SINGLE_RAW_ML]);
static BATCH: Lexis = lexis(&["rem ", "REM ", "::"], &[], &[]);
static VB: Lexis = lexis(&["'"], &[], &[Quote { open: "\"", close: "\"", escapes: false, multiline: false }]);
static FORTRAN: Lexis = lexis(&["!"], &[], &[DOUBLE, SINGLE]);
static PASCAL: Lexis = lexis(&["//"], &[("{", "}"), ("(*", "*)")], &[Quote { open: "'", close: "'", escapes: false, multiline: false }]);
static ASM: Lexis = lexis(&[";", "#"], &[("/*", "*/")], &[DOUBLE]);
static ZIG: Lexis = lexis(&["//"], &[], &[DOUBLE, SINGLE]);
static VIM: Lexis = lexis(&["\t\""], &[], &[]);
static INI: Lexis = lexis(&[";", "#"], &[], &[]);
static PLAIN: Lexis = lexis(&[], &[], &[]);

/// One language of the table.
#[derive(Debug)]
pub struct Language {
    /// The name shown to people, and the key in every stored fact.
    pub name: &'static str,
    /// What it is for.
    pub purpose: Purpose,
    /// How comments and strings look.
    pub lexis: &'static Lexis,
    /// The grammar that measures its functions, where there is one.
    pub grammar: Option<Grammar>,
    extensions: &'static [&'static str],
    names: &'static [&'static str],
    interpreters: &'static [&'static str],
}

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

macro_rules! languages {
    ($($name:literal $purpose:ident $lexis:ident [$($ext:literal)*] $(names [$($file:literal)*])? $(run [$($run:literal)*])? $(grammar $grammar:ident)?;)*) => {
        /// Every language the inventory knows.
        pub static LANGUAGES: &[Language] = &[$(Language {
            name: $name,
            purpose: Purpose::$purpose,
            lexis: &$lexis,
            grammar: languages!(@grammar $($grammar)?),
            extensions: &[$($ext),*],
            names: &[$($($file),*)?],
            interpreters: &[$($($run),*)?],
        }),*];
    };
    (@grammar) => { None };
    (@grammar $g:ident) => { Some(Grammar::$g) };
}

// Extensions are lower case and may hold a dot; the first language that claims one has it.
languages! {
    "Rust" Code RUST ["rs"] run ["rust-script"] grammar Rust;
    "Python" Code PYTHON ["py" "pyi" "pyw"] names ["SConstruct" "SConscript" "wscript"] run ["python" "python2" "python3" "pypy" "pypy3"] grammar Python;
    "JavaScript" Code JS ["js" "mjs" "cjs" "jsx"] names ["Jakefile"] run ["node" "nodejs" "bun"] grammar JavaScript;
    "TypeScript" Code JS ["ts" "mts" "cts"] run ["deno" "ts-node" "tsx"] grammar TypeScript;
    "TSX" Code JS ["tsx"] grammar Tsx;
    "Go" Code GO ["go"] grammar Go;
    "C" Code C ["c" "h"];
    "C++" Code C ["cpp" "cc" "cxx" "c++" "hpp" "hh" "hxx" "h++" "ipp" "inl"];
    "C#" Code CSHARP ["cs" "csx"];
    "Objective-C" Code C ["m" "mm"];
    "Java" Code JAVA ["java"];
    "Kotlin" Code C_NESTED ["kt" "kts"];
    "Scala" Code C_NESTED ["scala" "sbt" "sc"];
    "Groovy" Code JAVA ["groovy" "gvy" "gradle"] names ["Jenkinsfile"] run ["groovy"];
    "Swift" Code C_NESTED ["swift"] run ["swift"];
    "Dart" Code C_NESTED ["dart"] run ["dart"];
    "Zig" Code ZIG ["zig" "zon"];
    "D" Code C ["d"];
    "PHP" Code PHP ["php" "phtml" "php5"] run ["php"];
    "Ruby" Code RUBY ["rb" "rake" "gemspec" "ru"] names ["Rakefile" "Gemfile" "Guardfile" "Vagrantfile" "Podfile" "Fastfile" "Brewfile"] run ["ruby" "jruby"];
    "Perl" Code PERL ["pl" "pm" "t"] run ["perl"];
    "Lua" Code LUA ["lua"] run ["lua" "luajit"];
    "Shell" Code SHELL ["sh" "bash" "zsh" "ksh" "fish" "bats"] names [".bashrc" ".bash_profile" ".profile" ".zshrc" "PKGBUILD" "APKBUILD"] run ["sh" "bash" "dash" "zsh" "ksh" "fish" "ash"];
    "PowerShell" Code POWERSHELL ["ps1" "psm1" "psd1"] run ["pwsh"];
    "Batch" Code BATCH ["bat" "cmd"];
    "SQL" Code SQL ["sql" "psql" "ddl"];
    "R" Code HASH ["r"] run ["rscript"];
    "Julia" Code JULIA ["jl"] run ["julia"];
    "Haskell" Code HASKELL ["hs"] run ["runhaskell"];
    "Elm" Code HASKELL ["elm"];
    "PureScript" Code HASKELL ["purs"];
    "OCaml" Code ML ["ml" "mli"] run ["ocaml"];
    "F#" Code FSHARP ["fs" "fsi" "fsx"];
    "Clojure" Code LISP ["clj" "cljs" "cljc" "edn"];
    "Common Lisp" Code LISP ["lisp" "lsp"];
    "Scheme" Code LISP ["scm" "ss" "rkt"];
    "Emacs Lisp" Code LISP ["el"];
    "Erlang" Code ERLANG ["erl" "hrl"] names ["rebar.config"] run ["escript"];
    "Elixir" Code ELIXIR ["ex" "exs"] run ["elixir"];
    "Gleam" Code C ["gleam"];
    "Nim" Code HASH ["nim" "nims"];
    "Crystal" Code HASH ["cr"];
    "Visual Basic" Code VB ["vb" "bas" "vbs"];
    "Fortran" Code FORTRAN ["f90" "f95" "f03" "f08" "f"];
    "Pascal" Code PASCAL ["pas" "dpr" "lpr"];
    "Assembly" Code ASM ["s" "asm" "nasm"];
    "CUDA" Code C ["cu" "cuh"];
    "GLSL" Code C ["glsl" "vert" "frag" "comp"];
    "WGSL" Code C_NESTED ["wgsl"];
    "Solidity" Code C ["sol"];
    "Verilog" Code C ["v" "sv" "svh"];
    "VHDL" Code SQL ["vhd" "vhdl"];
    "Protocol Buffers" Code C ["proto"];
    "Thrift" Code C ["thrift"];
    "GraphQL" Code HASH ["graphql" "gql"];
    "Nix" Code NIX ["nix"];
    "HCL" Code HCL ["hcl" "tf" "tfvars"];
    "CMake" Code HASH ["cmake"] names ["CMakeLists.txt"];
    "Meson" Code HASH [] names ["meson.build" "meson_options.txt"];
    "Starlark" Code PYTHON ["bzl" "star"] names ["BUILD" "BUILD.bazel" "WORKSPACE" "Tiltfile"];
    "Makefile" Code HASH ["mk" "mak"] names ["Makefile" "makefile" "GNUmakefile"] run ["make"];
    "Just" Code HASH ["just"] names ["justfile" "Justfile"];
    "Dockerfile" Code HASH ["dockerfile"] names ["Dockerfile" "Containerfile"];
    "Awk" Code HASH ["awk"] run ["awk" "gawk" "mawk"];
    "Vim Script" Code VIM ["vim"] names [".vimrc"];
    "WebAssembly" Code LISP ["wat" "wast"];
    "Vue" Code JS ["vue"];
    "Svelte" Code JS ["svelte"];
    "Astro" Code JS ["astro"];
    "HTML" Markup MARKUP ["html" "htm" "xhtml"];
    "CSS" Markup CSS ["css"];
    "SCSS" Markup JS ["scss"];
    "Sass" Markup JS ["sass"];
    "Less" Markup JS ["less"];
    "Handlebars" Markup MARKUP ["hbs" "handlebars"];
    "Jinja" Markup MARKUP ["j2" "jinja" "jinja2"];
    "TeX" Markup TEX ["tex" "sty" "cls" "bib"];
    "XML" Data MARKUP ["xml" "xsd" "xsl" "xslt" "csproj" "fsproj" "vbproj" "props" "targets" "plist" "wsdl"] names ["pom.xml"];
    "SVG" Data MARKUP ["svg"];
    "JSON" Data JS ["json" "jsonc" "json5" "geojson" "webmanifest" "ipynb" "map"] names [".prettierrc" ".babelrc" ".eslintrc" "composer.lock" "Pipfile.lock" "flake.lock"];
    "YAML" Data HASH ["yaml" "yml"] names [".clang-format" ".clang-tidy"];
    "TOML" Data TOML ["toml"] names ["Cargo.lock" "poetry.lock" "uv.lock" "Pipfile"];
    "INI" Data INI ["ini" "cfg" "conf" "properties" "desktop" "editorconfig" "env" "service"] names [".gitconfig" ".gitmodules" ".npmrc" ".env" ".flake8"];
    "Ignore list" Data HASH ["gitignore" "dockerignore" "npmignore" "gitattributes"] names ["CODEOWNERS"];
    "CSV" Data PLAIN ["csv" "tsv"];
    "Go module" Data GO ["mod" "sum" "work"] names ["go.mod" "go.sum" "go.work"];
    "Diff" Data PLAIN ["diff" "patch"];
    "Markdown" Prose MARKUP ["md" "markdown" "mdx"];
    "reStructuredText" Prose PLAIN ["rst"];
    "AsciiDoc" Prose PLAIN ["adoc" "asciidoc"];
    "Org" Prose PLAIN ["org"];
    "Text" Prose PLAIN ["txt" "text"] names ["LICENSE" "LICENCE" "COPYING" "NOTICE" "AUTHORS" "README" "CHANGELOG" "VERSION" "yarn.lock"];
}

/// How text of no known language is read.
pub fn plain() -> &'static Lexis {
    &PLAIN
}

/// Finds a language by its name in the table.
pub fn by_name(name: &str) -> Option<&'static Language> {
    LANGUAGES.iter().find(|l| l.name == name)
}

/// The language of a file from its path and, for a name that tells nothing, from its first line.
pub fn detect(path: &str, head: &[u8]) -> Option<&'static Language> {
    by_path(path).or_else(|| by_shebang(head))
}

/// The language of a file from its path alone.
pub fn by_path(path: &str) -> Option<&'static Language> {
    let file = path.rsplit('/').next().unwrap_or(path);
    if let Some(found) = LANGUAGES.iter().find(|l| l.names.contains(&file)) {
        return Some(found);
    }
    // `Dockerfile.dev`, `Makefile.inc`: the name's first part is the kind
    if let Some((stem, _)) = file.split_once('.')
        && matches!(stem, "Dockerfile" | "Containerfile" | "Makefile" | "Jenkinsfile")
    {
        return LANGUAGES.iter().find(|l| l.names.contains(&stem));
    }
    let (_, ext) = file.rsplit_once('.')?;
    let ext = ext.to_ascii_lowercase();
    LANGUAGES.iter().find(|l| l.extensions.contains(&ext.as_str()))
}

fn by_shebang(head: &[u8]) -> Option<&'static Language> {
    let line = head.strip_prefix(b"#!")?;
    let line = &line[..line.iter().take(256).position(|b| *b == b'\n').unwrap_or(line.len().min(256))];
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_whitespace();
    let mut program = words.next()?.rsplit('/').next()?;
    if program == "env" {
        // `env -S node --flag`, `env VAR=1 python3`
        program = words.find(|w| !w.starts_with('-') && !w.contains('='))?.rsplit('/').next()?;
    }
    let bare = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    LANGUAGES.iter().find(|l| l.interpreters.contains(&program) || l.interpreters.contains(&bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_extensions_and_shebangs() {
        let table = [
            ("src/main.rs", "", Some("Rust")),
            ("a/b/Dockerfile", "", Some("Dockerfile")),
            ("Dockerfile.dev", "", Some("Dockerfile")),
            ("app.TSX", "", Some("TSX")),
            ("index.d.ts", "", Some("TypeScript")),
            ("Makefile", "", Some("Makefile")),
            (".gitignore", "", Some("Ignore list")),
            ("bin/tool", "#!/usr/bin/env python3.11\n", Some("Python")),
            ("bin/tool", "#!/usr/bin/env -S node --flag\n", Some("JavaScript")),
            ("bin/tool", "#!/bin/bash -e\n", Some("Shell")),
            ("bin/tool", "#! /bin/sh", Some("Shell")),
            ("bin/tool", "#!\u{0}", None),
            ("bin/tool", "plain", None),
            ("go.sum", "", Some("Go module")),
            ("", "", None),
            ("/", "", None),
            ("x.", "", None),
        ];
        for (path, head, want) in table {
            assert_eq!(detect(path, head.as_bytes()).map(|l| l.name), want, "{path}");
        }
    }

    #[test]
    fn the_table_is_consistent() {
        assert!(LANGUAGES.len() >= 60);
        let mut names = std::collections::HashSet::new();
        let mut extensions = std::collections::HashMap::new();
        for language in LANGUAGES {
            assert!(names.insert(language.name), "{} twice", language.name);
            for ext in language.extensions {
                assert_eq!(*ext, ext.to_ascii_lowercase());
                assert_eq!(extensions.insert(*ext, language.name), None, ".{ext} twice");
            }
        }
    }
}
