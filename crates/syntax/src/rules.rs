//! What each grammar's nodes mean to the metrics: one table per grammar, looked up by node kind.

use std::sync::LazyLock;

use tree_sitter::Node;

use crate::metrics::Grammar;

/// What a node is to the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nothing: only its children matter.
    Plain,
    /// A function with a name of its own.
    Function,
    /// A function without one.
    Closure,
    /// Gives a name to the function that is its value.
    Binding,
    /// A class, an `impl`, a trait: gives names to what is inside.
    Type,
    /// Gives names, but its functions are not methods.
    Namespace,
    If,
    Else,
    Elif,
    /// `let … else`, when it has an `else`.
    LetElse,
    Loop {
        decides: bool,
    },
    Switch,
    Case,
    /// A `match` pattern that may carry a condition.
    Guard,
    /// A `for` or `if` of a comprehension, a guard.
    Clause,
    Catcher,
    Ternary,
    /// May be a logical operator.
    Operators,
    Assign,
    Propagate,
    Jump,
    Call,
}

/// One grammar's table.
pub(crate) struct Rules {
    grammar: Grammar,
    classes: Vec<Class>,
    /// `match` in Rust: each arm after the first is a decision, whatever the last one says.
    pub(crate) first_arm_free: bool,
}

fn classify(grammar: Grammar, kind: &str) -> Class {
    use Class::*;
    match grammar {
        Grammar::Rust => match kind {
            "function_item" => Function,
            "closure_expression" => Closure,
            "impl_item" | "trait_item" => Type,
            "if_expression" => If,
            "else_clause" => Else,
            "let_declaration" => LetElse,
            "while_expression" | "for_expression" => Loop { decides: true },
            "loop_expression" => Loop { decides: false },
            "match_expression" => Switch,
            "match_arm" => Case,
            "match_pattern" => Guard,
            "binary_expression" | "let_chain" => Operators,
            "try_expression" => Propagate,
            "break_expression" | "continue_expression" => Jump,
            "call_expression" => Call,
            _ => Plain,
        },
        Grammar::Python => match kind {
            "function_definition" => Function,
            "lambda" => Closure,
            "class_definition" => Type,
            "if_statement" => If,
            "elif_clause" => Elif,
            "else_clause" => Else,
            "for_statement" | "while_statement" => Loop { decides: true },
            "match_statement" => Switch,
            "case_clause" => Case,
            "if_clause" | "for_in_clause" => Clause,
            "except_clause" | "except_group_clause" => Catcher,
            "conditional_expression" => Ternary,
            "boolean_operator" => Operators,
            "call" => Call,
            _ => Plain,
        },
        Grammar::JavaScript | Grammar::TypeScript | Grammar::Tsx => match kind {
            "function_declaration"
            | "generator_function_declaration"
            | "method_definition"
            | "function_expression"
            | "generator_function" => Function,
            "arrow_function" => Closure,
            "variable_declarator" | "pair" | "assignment_expression" | "field_definition" | "public_field_definition" => Binding,
            "class_declaration" | "class" | "abstract_class_declaration" => Type,
            "internal_module" | "module" => Namespace,
            "if_statement" => If,
            "else_clause" => Else,
            "for_statement" | "for_in_statement" | "while_statement" | "do_statement" => Loop { decides: true },
            "switch_statement" => Switch,
            "switch_case" => Case,
            "catch_clause" => Catcher,
            "ternary_expression" => Ternary,
            "binary_expression" => Operators,
            "augmented_assignment_expression" => Assign,
            "break_statement" | "continue_statement" => Jump,
            "call_expression" => Call,
            _ => Plain,
        },
        Grammar::Go => match kind {
            "function_declaration" | "method_declaration" => Function,
            "func_literal" => Closure,
            "if_statement" => If,
            "for_statement" => Loop { decides: true },
            "expression_switch_statement" | "type_switch_statement" | "select_statement" => Switch,
            "expression_case" | "type_case" | "communication_case" => Case,
            "binary_expression" => Operators,
            "break_statement" | "continue_statement" | "goto_statement" => Jump,
            "call_expression" => Call,
            _ => Plain,
        },
    }
}

static TABLES: LazyLock<Vec<Rules>> = LazyLock::new(|| {
    [Grammar::Rust, Grammar::Python, Grammar::JavaScript, Grammar::TypeScript, Grammar::Tsx, Grammar::Go]
        .into_iter()
        .map(|grammar| {
            let language = grammar.language();
            let class = |id: usize| {
                let id = u16::try_from(id).unwrap_or(u16::MAX);
                match language.node_kind_for_id(id) {
                    // `class` the keyword shares its text with `class` the node
                    Some(kind) if language.node_kind_is_named(id) => classify(grammar, kind),
                    _ => Class::Plain,
                }
            };
            Rules { grammar, classes: (0..language.node_kind_count()).map(class).collect(), first_arm_free: grammar == Grammar::Rust }
        })
        .collect()
});

static NONE: Rules = Rules { grammar: Grammar::Rust, classes: Vec::new(), first_arm_free: false };

impl Rules {
    pub(crate) fn of(grammar: Grammar) -> &'static Rules {
        TABLES.iter().find(|r| r.grammar == grammar).unwrap_or(&NONE)
    }

    pub(crate) fn class(&self, node: Node<'_>) -> Class {
        self.classes.get(usize::from(node.kind_id())).copied().unwrap_or(Class::Plain)
    }

    /// `goto` always names a label.
    pub(crate) fn always_labelled(&self, node: Node<'_>) -> bool {
        node.kind() == "goto_statement"
    }

    /// Which logical operator a token is: 0 for `and`, 1 for `or`.
    pub(crate) fn logical_token(&self, token: Node<'_>) -> Option<u8> {
        match token.kind() {
            "&&" | "and" => Some(0),
            "||" | "or" => Some(1),
            _ => None,
        }
    }

    pub(crate) fn is_logical(&self, node: Node<'_>, source: &[u8]) -> bool {
        match node.kind() {
            "let_chain" | "boolean_operator" => true,
            "binary_expression" => {
                let operator = node.child_by_field_name("operator").and_then(|o| source.get(o.byte_range()));
                matches!(operator, Some(b"&&" | b"||"))
            }
            _ => false,
        }
    }

    /// What stands in the parentheses, however many.
    pub(crate) fn unwrapped<'t>(&self, node: Node<'t>) -> Node<'t> {
        let mut node = node;
        while node.kind() == "parenthesized_expression" {
            let mut cursor = node.walk();
            let Some(inside) = node.named_children(&mut cursor).find(|c| !c.is_extra()) else { break };
            node = inside;
        }
        node
    }

    /// How many parameters a list declares.
    pub(crate) fn params(&self, list: Node<'_>) -> u32 {
        if list.kind() == "identifier" {
            return 1; // `x => …`
        }
        let mut cursor = list.walk();
        let mut count = 0u32;
        for parameter in list.named_children(&mut cursor) {
            count += match parameter.kind() {
                "self_parameter" | "attribute_item" | "keyword_separator" | "positional_separator" => 0,
                "parameter_declaration" => {
                    // Go: `a, b int` is two, `int` alone is one
                    let mut inner = parameter.walk();
                    (parameter.children_by_field_name("name", &mut inner).count() as u32).max(1)
                }
                _ if parameter.is_extra() => 0,
                _ => 1,
            };
        }
        count
    }

    /// The name that a binding gives to a JavaScript function without one.
    pub(crate) fn binding_name<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        ["name", "key", "left", "property"].iter().find_map(|field| node.child_by_field_name(field))
    }
}
