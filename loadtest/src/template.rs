//! Text with placeholders, so that the load fits any broker's destinations, headers and bodies.

use std::str::FromStr;

/// Text with the placeholders `{room}`, `{conn}`, `{token}`, `{seq}` and `{text}`. Every other brace stands for
/// itself, so that JSON can be written as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Room,
    Conn,
    Token,
    Seq,
    Text,
}

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<'a> {
    /// The room's name.
    pub room: &'a str,
    /// The connection's number.
    pub conn: usize,
    /// The connection's token.
    pub token: &'a str,
    /// The message's number in its room.
    pub seq: u64,
    /// The text that is looked for in what comes back.
    pub text: &'a str,
}

/// A placeholder that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown placeholder {{{0}}}: there are {{room}}, {{conn}}, {{token}}, {{seq}} and {{text}}")]
pub struct UnknownPlaceholder(String);

impl FromStr for Template {
    type Err = UnknownPlaceholder;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let name_length = rest[open + 1..].bytes().take_while(u8::is_ascii_lowercase).count();
            let close = open + 1 + name_length;
            if name_length == 0 || rest.as_bytes().get(close) != Some(&b'}') {
                literal.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
                continue;
            }
            let part = match &rest[open + 1..close] {
                "room" => Part::Room,
                "conn" => Part::Conn,
                "token" => Part::Token,
                "seq" => Part::Seq,
                "text" => Part::Text,
                unknown => return Err(UnknownPlaceholder(unknown.to_owned())),
            };
            literal.push_str(&rest[..open]);
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(part);
            rest = &rest[close + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }
}

impl Template {
    /// Whether `{text}` is in it.
    pub fn has_text(&self) -> bool {
        self.0.contains(&Part::Text)
    }

    /// The text with `values` in their places, in place of what `out` held.
    pub fn expand_into(&self, values: Values<'_>, out: &mut String) {
        use std::fmt::Write;

        out.clear();
        for part in &self.0 {
            // Writing to a string cannot fail.
            let _ = match part {
                Part::Literal(text) => out.write_str(text),
                Part::Room => out.write_str(values.room),
                Part::Conn => write!(out, "{}", values.conn),
                Part::Token => out.write_str(values.token),
                Part::Seq => write!(out, "{}", values.seq),
                Part::Text => out.write_str(values.text),
            };
        }
    }

    /// The text with `values` in their places.
    pub fn expand(&self, values: Values<'_>) -> String {
        let mut out = String::new();
        self.expand_into(values, &mut out);
        out
    }
}

/// A header: `name:value`, both templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTemplate {
    /// Before the first colon.
    pub name: String,
    /// Behind it.
    pub value: Template,
}

impl FromStr for HeaderTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(':').ok_or_else(|| format!("{text:?} is not name:value"))?;
        let value = value.parse().map_err(|error: UnknownPlaceholder| error.to_string())?;
        Ok(Self { name: name.to_owned(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values { room: "club-7", conn: 12, token: "t.o.k", seq: 99, text: "hi" };

    #[test]
    fn every_placeholder_is_expanded() {
        let template: Template = "/{room}/{conn}?{token}&{seq}={text}!".parse().unwrap();
        assert_eq!(template.expand(VALUES), "/club-7/12?t.o.k&99=hi!");
        assert!(template.has_text());
    }

    #[test]
    fn braces_of_json_stand_for_themselves() {
        let template: Template = r#"{"content":"{text}","n":{"x":{}},"open":{room"#.parse().unwrap();
        assert_eq!(template.expand(VALUES), r#"{"content":"hi","n":{"x":{}},"open":{room"#);
    }

    #[test]
    fn an_unknown_placeholder_is_refused_by_name() {
        assert_eq!("/{rom}".parse::<Template>(), Err(UnknownPlaceholder("rom".into())));
    }

    #[test]
    fn a_header_is_cut_at_its_first_colon() {
        let header: HeaderTemplate = "authorization:Bearer a:{token}".parse().unwrap();
        assert_eq!(header.name, "authorization");
        assert_eq!(header.value.expand(VALUES), "Bearer a:t.o.k");
        assert!("no colon".parse::<HeaderTemplate>().is_err());
    }
}
