//! The columns of the index: one per ECS slot, a JSON column for the rest, terms for what searches single out. Pure.
//!
//! "Lean" as measured (limits sheet §5): typed columns for everything, inverted terms only where one value singles out
//! few events, words of target and message without positions, the raw line in the store. Deliberately without a term
//! per event: its identity is its position, three number columns. Times are whole milliseconds in number columns,
//! because Tantivy's own dates end in the year 2262 and ours in 9999.

use tantivy::schema::{
    BytesOptions, FAST, Field, INDEXED, IndexRecordOption, IpAddrOptions, JsonObjectOptions, NumericOptions, STORED,
    Schema, SchemaBuilder, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{RawTokenizer, TextAnalyzer, TokenizerManager};

use crate::event::field::{ADDRESS_NAMES, NUMBER_NAMES, TEXT_NAMES};
use crate::event::{Address, Number, Text};

use super::words::WordTokenizer;

/// Raised when the meaning of a column changes although its name and type stay.
const MEANING_VERSION: u32 = 1;
/// A text longer than this is cut in its column; the document and the raw line keep it whole. Half of what nginx
/// accepts as a request header, and far below Tantivy's 65,530 bytes a term.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Name of the tokenizer for free text.
const WORDS: &str = "sekisho_words";
/// Name of the tokenizer that leaves texts whole.
const RAW: &str = "raw";

/// Texts with inverted terms: one value of them is a question of its own in an investigation. Other texts are found by
/// scanning their columns.
const TEXT_TERMS: &[Text] =
    &[Text::UrlPath, Text::UrlDomain, Text::UserAgent, Text::UserName, Text::ClientCountry, Text::RuleId];
/// Numbers with inverted terms.
const NUMBER_TERMS: &[Number] = &[Number::HttpStatus, Number::ClientAsNumber];
/// Addresses with inverted terms.
const ADDRESS_TERMS: &[Address] = &[Address::ClientIp, Address::SourceIp];

/// The texts that a bare word is looked for in: target, agent, and what syslog programs say.
pub const FREE_TEXTS: &[Text] = &[Text::UrlOriginal, Text::UserAgent, Text::Message];
/// Those of [`FREE_TEXTS`] whose words are indexed. Agents are few and long: their words are looked up in the
/// dictionary of their column instead.
pub const INDEXED_FREE_TEXTS: [Text; 2] = [Text::UrlOriginal, Text::Message];

/// Column names that are not ECS.
pub mod name {
    /// Which of the split's inputs.
    pub const INPUT: &str = "position_input";
    /// Offset of the record.
    pub const OFFSET: &str = "position_offset";
    /// Item within the record, absent where it held one.
    pub const ITEM: &str = "position_item";
    /// Fields without a slot: texts, whole numbers, flags.
    pub const EXTRA: &str = "extra";
    /// Fields without a slot: numbers with a fraction. Apart, because one column would turn all numbers into these.
    pub const EXTRA_FLOAT: &str = "extra_float";
    /// Words of target and message.
    pub const WORDS: &str = "words";
    /// The raw line, stored.
    pub const RAW: &str = "raw";
    /// What columns cannot give back exactly, stored.
    pub const REST: &str = "rest";
}

/// The schema and its fields by what they hold. Equal in every split.
#[derive(Debug)]
pub struct Columns {
    pub(super) schema: Schema,
    pub(super) timestamp: Field,
    pub(super) appended_at: Field,
    pub(super) input: Field,
    pub(super) offset: Field,
    pub(super) item: Field,
    pub(super) pipeline: Field,
    pub(super) texts: Vec<Field>,
    pub(super) numbers: Vec<Field>,
    pub(super) addresses: Vec<Field>,
    pub(super) categories: Field,
    pub(super) types: Field,
    pub(super) tags: Field,
    pub(super) flaw_kinds: Field,
    pub(super) flaw_fields: Field,
    pub(super) words: Field,
    pub(super) extra: Field,
    pub(super) extra_float: Field,
    pub(super) raw: Field,
    pub(super) rest: Field,
}

impl Default for Columns {
    fn default() -> Self {
        Self::new()
    }
}

impl Columns {
    /// The one schema of this version. Fields are in the order that documents give them, which Tantivy sorts by.
    pub fn new() -> Self {
        let mut builder = Schema::builder();
        let number = |builder: &mut SchemaBuilder, name: &str| builder.add_i64_field(name, FAST);
        let text = |builder: &mut SchemaBuilder, name: &str| builder.add_text_field(name, text_options(false));
        let json = JsonObjectOptions::default().set_fast(RAW);
        Columns {
            timestamp: number(&mut builder, "@timestamp"),
            appended_at: number(&mut builder, "sekisho.appended_at"),
            pipeline: text(&mut builder, "sekisho.pipeline"),
            texts: text_fields(&mut builder),
            numbers: number_fields(&mut builder),
            addresses: address_fields(&mut builder),
            categories: text(&mut builder, "event.category"),
            types: text(&mut builder, "event.type"),
            tags: text(&mut builder, "tags"),
            flaw_kinds: text(&mut builder, "sekisho.flaws.kind"),
            flaw_fields: text(&mut builder, "sekisho.flaws.field"),
            words: builder.add_text_field(name::WORDS, TextOptions::default().set_indexing_options(words_indexing())),
            input: builder.add_u64_field(name::INPUT, FAST),
            offset: builder.add_u64_field(name::OFFSET, FAST),
            item: builder.add_u64_field(name::ITEM, FAST),
            extra: builder.add_json_field(name::EXTRA, json.clone()),
            extra_float: builder.add_json_field(name::EXTRA_FLOAT, json),
            raw: builder.add_bytes_field(name::RAW, BytesOptions::from(STORED)),
            rest: builder.add_bytes_field(name::REST, BytesOptions::from(STORED)),
            schema: builder.build(),
        }
    }

    /// The Tantivy schema, for a bare loop beside ours.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What the payload of every split carries: a split of another schema is not read as ours.
    pub fn hash(&self) -> String {
        let text = serde_json::to_string(&self.schema).unwrap_or_default();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&MEANING_VERSION.to_le_bytes()).update(text.as_bytes());
        hasher.finalize().to_hex()[..16].to_owned()
    }

    /// The tokenizers that the schema names.
    pub fn tokenizers(&self) -> TokenizerManager {
        // Tantivy asks for its default even where a field holds no text.
        let manager = TokenizerManager::default();
        manager.register(RAW, RawTokenizer::default());
        manager.register(WORDS, TextAnalyzer::from(WordTokenizer::default()));
        manager
    }

    /// The field of a text slot.
    pub(super) fn text(&self, slot: Text) -> Field {
        self.texts[slot as usize]
    }

    /// The field of a number slot.
    pub(super) fn number(&self, slot: Number) -> Field {
        self.numbers[slot as usize]
    }

    /// The field of an address slot.
    pub(super) fn address(&self, slot: Address) -> Field {
        self.addresses[slot as usize]
    }

    /// Whether a value of this field can be looked up as a term.
    pub(super) fn has_terms(&self, field: Field) -> bool {
        self.schema.get_field_entry(field).is_indexed()
    }

    /// The column's name.
    pub(super) fn name(&self, field: Field) -> &str {
        self.schema.get_field_name(field)
    }
}

fn text_fields(builder: &mut SchemaBuilder) -> Vec<Field> {
    let field = |(slot, name): &(Text, &str)| builder.add_text_field(name, text_options(TEXT_TERMS.contains(slot)));
    TEXT_NAMES.iter().map(field).collect()
}

fn number_fields(builder: &mut SchemaBuilder) -> Vec<Field> {
    let options = |slot: &Number| {
        if NUMBER_TERMS.contains(slot) { NumericOptions::from(FAST | INDEXED) } else { NumericOptions::from(FAST) }
    };
    // Lengths of fields serve scores, which we do not compute.
    let field = |(slot, name): &(Number, &str)| builder.add_i64_field(name, options(slot));
    NUMBER_NAMES.iter().map(field).collect()
}

fn address_fields(builder: &mut SchemaBuilder) -> Vec<Field> {
    let options = |slot: &Address| {
        let columns = IpAddrOptions::default().set_fast();
        if ADDRESS_TERMS.contains(slot) { columns.set_indexed() } else { columns }
    };
    let field = |(slot, name): &(Address, &str)| builder.add_ip_addr_field(name, options(slot));
    ADDRESS_NAMES.iter().map(field).collect()
}

fn text_options(terms: bool) -> TextOptions {
    let columns = TextOptions::default().set_fast(RAW);
    if terms { columns.set_indexing_options(indexing(RAW)) } else { columns }
}

fn words_indexing() -> TextFieldIndexing {
    indexing(WORDS)
}

/// Which events hold the term, and nothing else: positions and frequencies serve scores and cost 12 % (limits sheet §5).
fn indexing(tokenizer: &str) -> TextFieldIndexing {
    TextFieldIndexing::default()
        .set_tokenizer(tokenizer)
        .set_index_option(IndexRecordOption::Basic)
        .set_fieldnorms(false)
}

/// The path of a column for a field without a slot: its name is one key, dots and all.
pub(super) fn extra_path(column: &str, field: &str) -> String {
    let mut path = format!("{column}.");
    for character in field.chars() {
        if matches!(character, '.' | '\\') {
            path.push('\\');
        }
        path.push(character);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_this_schema() {
        let columns = Columns::new();
        assert_eq!(columns.hash(), Columns::new().hash());
        assert_eq!(columns.hash().len(), 16);
        assert_eq!(columns.name(columns.text(Text::UrlPath)), "url.path");
        assert!(columns.has_terms(columns.address(Address::ClientIp)));
        assert!(!columns.has_terms(columns.timestamp));
    }
}
