//! The tree of a template.

use std::{collections::HashSet, sync::Arc};

pub(crate) type Name = Arc<str>;

#[derive(Debug)]
pub(crate) enum Expr {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Name),
    Name(Name),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attr(Box<Expr>, Name),
    Item(Box<Expr>, Box<Expr>),
    /// `value[start:stop:step]`
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Call(Box<Expr>, Args),
    Filter(Box<Expr>, Name, Args),
    Test(Box<Expr>, Name, Args),
    /// What a filter block or a `set` block filters.
    Body,
    Not(Box<Expr>),
    Neg(Box<Expr>),
    Pos(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    If {
        test: Box<Expr>,
        then: Box<Expr>,
        other: Option<Box<Expr>>,
    },
    Compare(Box<Expr>, Vec<(Compare, Expr)>),
    Concat(Vec<Expr>),
    Binary(Binary, Box<Expr>, Box<Expr>),
}

#[derive(Debug, Default)]
pub(crate) struct Args {
    pub positional: Vec<Expr>,
    pub named: Vec<(Name, Expr)>,
    /// `*list`
    pub list: Option<Box<Expr>>,
    /// `**dict`
    pub dict: Option<Box<Expr>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Mod,
    Pow,
}

#[derive(Debug)]
pub(crate) enum Target {
    Name(Name),
    Tuple(Vec<Target>),
    /// `namespace.attribute`
    Attr(Name, Name),
}

#[derive(Debug)]
pub(crate) struct Statement {
    pub line: usize,
    pub kind: Kind,
}

pub(crate) type Body = Vec<Statement>;

#[derive(Debug)]
pub(crate) struct Tree {
    pub body: Body,
    /// The parts that others could replace, each under its name: functions without arguments.
    pub blocks: Vec<Arc<Macro>>,
    /// Every name that an expression reads.
    pub names: HashSet<Name>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Text(String),
    Print(Expr),
    Set(Target, Expr),
    SetBlock(Target, Option<Expr>, Body),
    If(Vec<(Expr, Body)>, Body),
    For(Arc<For>),
    With(Vec<(Target, Expr)>, Body),
    /// What the block of this name writes. If it is scoped, it sees the variables of the frames around it.
    Block {
        name: Name,
        scoped: bool,
    },
    Macro(Arc<Macro>),
    Call(Expr, Arc<Macro>),
    Filter(Expr, Body),
    AutoEscape(Expr, Body),
    /// `generation`: what the assistant says.
    Generation(Body),
    Break,
    Continue,
    /// These names are undefined from here on: see `symbols.rs`.
    Hide(Vec<Name>),
    /// `include`, `import`, `from`, `extends`: there is no other template.
    Load(&'static str),
}

#[derive(Debug)]
pub(crate) struct For {
    pub target: Target,
    pub iter: Expr,
    pub test: Option<Expr>,
    pub recursive: bool,
    pub body: Body,
    pub other: Body,
}

#[derive(Debug)]
pub(crate) struct Macro {
    pub name: Option<Name>,
    pub arguments: Vec<(Name, Option<Expr>)>,
    pub body: Body,
    /// The body reads `varargs`, `kwargs`, `caller`: a call may give them.
    pub varargs: bool,
    pub kwargs: bool,
    pub caller: bool,
}
