//! Lines as directives with blocks.

use super::reader::Line;
use super::report::{Order, Place, shown};
use super::words::Token;
use crate::config::Problem;

/// Deeper than keepalived's own blocks go.
const DEEPEST: usize = 16;

/// More than any file has.
const MOST_DIRECTIVES: usize = 20_000;

/// A line of the file, or a part of one that braces delimit, with the block that it opens.
#[derive(Debug)]
pub(super) struct Directive {
    pub(super) order: Order,
    pub(super) place: Place,
    /// Never empty.
    words: Vec<String>,
    block: Vec<Directive>,
    opened: bool,
}

impl Directive {
    /// What it begins with.
    pub(super) fn word(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// All its words.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The words behind the first.
    pub(super) fn args(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// What its block holds.
    pub(super) fn inside(&self) -> &[Directive] {
        &self.block
    }
}

/// Builds the tree.
///
/// # Errors
///
/// A brace too many or too few, with its line.
pub(super) fn build(lines: Vec<Line>) -> Result<Vec<Directive>, Problem> {
    let mut builder = Builder::default();
    for (number, line) in lines.into_iter().enumerate() {
        builder.line(number, line)?;
    }
    match builder.open.last() {
        None => Ok(builder.top),
        Some(open) => Err(open.place.problem(
            &shown(open.word()),
            "opens a block that never ends",
            "close it with a `}`",
        )),
    }
}

#[derive(Default)]
struct Builder {
    top: Vec<Directive>,
    open: Vec<Directive>,
    count: usize,
}

impl Builder {
    fn line(&mut self, number: usize, line: Line) -> Result<(), Problem> {
        let mut part = 0;
        let mut words = Vec::new();
        for token in line.tokens {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => {
                    self.end_directive((number, part), &line.place, &mut words)?;
                    part += 1;
                    self.open_block(&line.place)?;
                }
                Token::Close => {
                    self.end_directive((number, part), &line.place, &mut words)?;
                    part += 1;
                    let closed = self.open.pop().ok_or_else(|| {
                        let what = "closes a block that was never opened";
                        line.place
                            .problem("}", what, "remove it, or open the block")
                    })?;
                    self.body().push(closed);
                }
            }
        }
        self.end_directive((number, part), &line.place, &mut words)
    }

    fn body(&mut self) -> &mut Vec<Directive> {
        match self.open.last_mut() {
            Some(directive) => &mut directive.block,
            None => &mut self.top,
        }
    }

    fn end_directive(
        &mut self,
        order: Order,
        place: &Place,
        words: &mut Vec<String>,
    ) -> Result<(), Problem> {
        if words.is_empty() {
            return Ok(());
        }
        self.count += 1;
        if self.count > MOST_DIRECTIVES {
            let what = format!("is the directive after the {MOST_DIRECTIVES}th");
            return Err(place.problem("file", what, "import a part of it at a time"));
        }
        let directive = Directive {
            order,
            place: place.clone(),
            words: std::mem::take(words),
            block: Vec::new(),
            opened: false,
        };
        self.body().push(directive);
        Ok(())
    }

    /// The block belongs to the last directive, be it in this line or one before.
    fn open_block(&mut self, place: &Place) -> Result<(), Problem> {
        if self.open.len() >= DEEPEST {
            let what = "opens a block too deep inside of others";
            return Err(place.problem("{", what, "close the blocks before it"));
        }
        match self.body().pop_if(|last| !last.opened) {
            Some(mut directive) => {
                directive.opened = true;
                self.open.push(directive);
                Ok(())
            }
            None => {
                let what = "opens a block without a name";
                Err(place.problem("{", what, "write the keyword before it, or remove it"))
            }
        }
    }
}
