//! The model of a property type, and what it must not say.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Expr, Fields, Ident, Path, Type, Visibility, parse_quote};

use crate::args::{attribute_args, docs};
use crate::errors::Errors;
use crate::names::Case;
use crate::types;

/// A property type.
pub enum Model {
    Struct(StructModel),
    Enum(EnumModel),
}

/// A struct of named fields.
pub struct StructModel {
    pub ident: Ident,
    pub vis: Visibility,
    pub root: Path,
    pub fields: Vec<Field>,
    /// Checks that only the compiler can make.
    pub assertions: TokenStream,
}

/// A field of it.
pub struct Field {
    pub ident: Ident,
    /// Name in the value.
    pub key: String,
    pub ty: Type,
    pub doc_attrs: TokenStream,
    pub docs: String,
    pub default: Option<Expr>,
}

/// An enum of unit variants.
pub struct EnumModel {
    pub ident: Ident,
    pub root: Path,
    pub variants: Vec<Variant>,
}

/// A variant of it.
pub struct Variant {
    pub ident: Ident,
    pub text: String,
    /// Whether it holds no data, as it should.
    pub is_unit: bool,
}

impl Field {
    /// Whether `new` takes it.
    pub fn is_required(&self) -> bool {
        self.default.is_none() && types::option_of(&self.ty).is_none()
    }

    /// The type within `Option`, or the type itself.
    pub fn bare_type(&self) -> &Type {
        types::option_of(&self.ty).unwrap_or(&self.ty)
    }
}

impl Model {
    /// Reads the type; nothing where it can be no property at all.
    pub fn new(item: DeriveInput, errors: &mut Errors) -> Option<Self> {
        if !item.generics.params.is_empty() {
            errors.on(&item.generics, "a property type cannot be generic");
            return None;
        }
        let mut root: Path = parse_quote!(::stackkit);
        let mut case = None;
        let is_enum = matches!(item.data, Data::Enum(_));
        for arg in attribute_args(&item.attrs, "property", errors) {
            match arg.name.to_string().as_str() {
                "crate" => root = arg.path(errors).unwrap_or(root),
                "rename_all" if is_enum => case = read_case(&arg, errors),
                _ if is_enum => arg.unknown(&["rename_all", "crate"], errors),
                _ => arg.unknown(&["crate"], errors),
            }
        }
        match item.data {
            Data::Struct(data) if matches!(data.fields, Fields::Named(_)) => {
                let mut model = StructModel {
                    ident: item.ident,
                    vis: item.vis,
                    root,
                    fields: Vec::new(),
                    assertions: TokenStream::new(),
                };
                data.fields.into_iter().for_each(|field| model.push(field, errors));
                Some(Model::Struct(model))
            }
            Data::Enum(data) => {
                Some(Model::Enum(enum_model(item.ident, root, case.unwrap_or(Case::Kebab), data, errors)))
            }
            Data::Struct(_) => {
                errors.on(&item.ident, "a property struct has named fields: `struct Storage { size: u32 }`");
                None
            }
            Data::Union(_) => {
                errors.on(&item.ident, "a union cannot be a property: use a struct with named fields or an enum");
                None
            }
        }
    }
}

impl StructModel {
    fn push(&mut self, field: syn::Field, errors: &mut Errors) {
        let Some(ident) = field.ident else { return };
        let mut key = ident.unraw().to_string();
        let mut default = None;
        let mut not_secret = false;
        for arg in attribute_args(&field.attrs, "property", errors) {
            match arg.name.to_string().as_str() {
                "default" => default = arg.expr(errors),
                "rename" => key = arg.text(errors).map_or(key, |text| text.value()),
                "not_secret" => not_secret = arg.flag(errors).is_some(),
                _ => arg.unknown(&["default", "rename", "not_secret"], errors),
            }
        }
        if let Some(default) = &default
            && let Some(bare) = types::option_of(&field.ty)
        {
            let bare = types::pretty(bare);
            errors.on(
                default,
                format!(
                    "with a default `{key}` always has a value: declare it as `{bare}`; it stays optional in programs"
                ),
            );
        }
        if !not_secret {
            let name = ident.unraw().to_string();
            self.assertions.extend(types::check_secret(&name, &ident, &field.ty, "property", &self.root, errors));
        }
        if self.fields.iter().any(|earlier| earlier.key == key) {
            errors.on(&ident, format!("two fields are named `{key}`"));
        }
        let (doc_attrs, docs) = docs(&field.attrs);
        let field = Field { ident, key, ty: types::without_self(field.ty, &self.ident), doc_attrs, docs, default };
        if field.key == "new" && !field.is_required() {
            errors.on(&field.ident, "an optional field cannot be named `new`: the constructor has that name");
        }
        self.fields.push(field);
    }
}

fn read_case(arg: &crate::args::Arg, errors: &mut Errors) -> Option<Case> {
    let text = arg.text(errors)?;
    let found = Case::ALL.iter().find(|(name, _)| *name == text.value()).map(|(_, case)| *case);
    if found.is_none() {
        let known = Case::ALL.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        errors.on(&text, format!("unknown case: expected one of {known}"));
    }
    found
}

fn enum_model(ident: Ident, root: Path, case: Case, data: syn::DataEnum, errors: &mut Errors) -> EnumModel {
    let mut variants: Vec<Variant> = Vec::new();
    if data.variants.is_empty() {
        errors.on(&ident, "a property enum needs at least one variant");
    }
    for variant in data.variants {
        let is_unit = matches!(variant.fields, Fields::Unit);
        if !is_unit {
            errors.on(
                &variant.fields,
                "a variant of a property enum is a text and holds no data: use a struct with optional fields for choices with data",
            );
        }
        let mut text = case.apply(&variant.ident.unraw().to_string());
        for arg in attribute_args(&variant.attrs, "property", errors) {
            match arg.name.to_string().as_str() {
                "rename" => text = arg.text(errors).map_or(text, |text| text.value()),
                _ => arg.unknown(&["rename"], errors),
            }
        }
        if let Some(earlier) = variants.iter().find(|earlier| earlier.text == text) {
            errors.on(&variant.ident, format!("`{}` is written `{text}` too", earlier.ident));
        }
        variants.push(Variant { ident: variant.ident, text, is_unit });
    }
    EnumModel { ident, root, variants }
}
