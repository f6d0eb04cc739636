//! `#[main]`, `#[program]` and `#[test]`: async functions made into programs and tests.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{ItemFn, LitStr, Path, Type, parse_quote};

use crate::args::parse_arg_tokens;
use crate::errors::Errors;
use crate::types::here;

/// Whether `fn main` is emitted.
#[derive(Clone, Copy, PartialEq)]
pub enum Entry {
    Main,
    None,
}

struct Options {
    providers: Vec<Type>,
    backends: Vec<Type>,
    backend: Option<LitStr>,
    keys: Vec<Type>,
    name: Option<LitStr>,
    root: Path,
}

impl Options {
    fn parse(tokens: TokenStream, known: &[&str], errors: &mut Errors) -> Self {
        let mut options = Self {
            providers: Vec::new(),
            backends: Vec::new(),
            backend: None,
            keys: Vec::new(),
            name: None,
            root: parse_quote!(::stackkit),
        };
        for arg in parse_arg_tokens(tokens, errors) {
            match arg.name.to_string().as_str() {
                "providers" if known.contains(&"providers") => options.providers = arg.list(errors),
                "backends" if known.contains(&"backends") => options.backends = arg.list(errors),
                "backend" if known.contains(&"backend") => options.backend = arg.text(errors),
                "keys" if known.contains(&"keys") => options.keys = arg.list(errors),
                "name" if known.contains(&"name") => options.name = arg.text(errors),
                "crate" => options.root = arg.path(errors).unwrap_or(options.root),
                _ => arg.unknown(known, errors),
            }
        }
        options
    }
}

/// What `#[main(args)]` or `#[program(args)]` makes of a function.
pub fn expand(args: TokenStream, item: TokenStream, entry: Entry) -> TokenStream {
    let mut errors = Errors::default();
    let options = Options::parse(args, &["providers", "backends", "backend", "keys", "name", "crate"], &mut errors);
    let Some(function) = function(item.clone(), &mut errors) else {
        let errors = errors.into_tokens();
        return quote! { #item #errors };
    };
    if function.sig.inputs.len() != 1 || function.sig.receiver().is_some() {
        let found = &function.sig;
        errors.on(
            &found.ident,
            format!(
                "a program takes the stack and nothing else: `async fn {}(stack: &mut Stack) -> Result<()>`",
                found.ident
            ),
        );
    }
    if matches!(function.sig.output, syn::ReturnType::Default) {
        errors.on(&function.sig.ident, "a program returns `Result<()>`, so that `?` can be used in it");
    }
    let root = &options.root;
    let private = quote! { #root::__private };
    let ItemFn { attrs, vis, sig, block, .. } = &function;
    let ident = &sig.ident;
    let main = (entry == Entry::Main).then(|| {
        quote! {
            fn main() -> ::std::process::ExitCode {
                #root::cli::main(#ident())
            }
        }
    });
    let failed = errors.into_tokens();
    if !failed.is_empty() {
        // The body stays, so that its own mistakes are reported too; `main` stays, so that its absence is not.
        let main = (entry == Entry::Main).then(|| quote! { fn main() {} });
        return quote! { #failed #[allow(dead_code)] #function #main };
    }
    let name = options.name.map_or_else(|| quote! { ::core::env!("CARGO_PKG_NAME") }, |name| quote! { #name });
    let providers = &options.providers;
    let linked =
        providers.iter().map(|provider| quote_spanned! { provider.span() => #private::Linked::of::<#provider>() });
    let (backends_list, backends) = if options.backends.is_empty() {
        Default::default()
    } else {
        let kinds = options
            .backends
            .iter()
            .map(|kind| quote_spanned! { kind.span() => #private::LinkedBackend::of::<#kind>() });
        let list = quote! { const BACKENDS: &[#private::LinkedBackend] = &[#(#kinds),*]; };
        (list, quote! { .with_backends(BACKENDS) })
    };
    let backend = options.backend.map(|url| quote! { .with_backend(#url) });
    let (keys_list, keys) = if options.keys.is_empty() {
        Default::default()
    } else {
        let kinds =
            options.keys.iter().map(|kind| quote_spanned! { kind.span() => #private::LinkedKeys::of::<#kind>() });
        let list = quote! { const KEYS: &[#private::LinkedKeys] = &[#(#kinds),*]; };
        (list, quote! { .with_keys(KEYS) })
    };
    let future = quote_spanned! { here(ident.span()) => ::std::boxed::Box::pin(#ident(stack)) };
    quote! {
        // A function and no constant: `let orders = …` in the same module would match against a constant.
        #(#attrs)*
        #vis fn #ident() -> #root::Program {
            #sig #block

            fn run<'a>(stack: &'a mut #root::Stack) -> #private::BoxFuture<'a, #root::Result<()>> {
                #future
            }

            const LINKED: &[#private::Linked] = &[#(#linked),*];
            #backends_list
            #keys_list
            #root::Program::new(#name, run, LINKED) #backends #backend #keys
        }
        #main
    }
}

/// What `#[test]` makes of a function.
pub fn expand_test(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = Options::parse(args, &["crate"], &mut errors);
    let Some(function) = function(item.clone(), &mut errors) else {
        let errors = errors.into_tokens();
        return quote! { #item #errors };
    };
    if !function.sig.inputs.is_empty() {
        errors.on(&function.sig.inputs, "a test takes no arguments");
    }
    let failed = errors.into_tokens();
    if !failed.is_empty() {
        return quote! { #failed #[allow(dead_code)] #function };
    }
    let root = &options.root;
    let ItemFn { attrs, vis, sig, block, .. } = &function;
    let ident = &sig.ident;
    let output = &sig.output;
    quote! {
        #[::core::prelude::v1::test]
        #(#attrs)*
        #vis fn #ident() #output {
            #sig #block
            #root::__private::block_on(#ident())
        }
    }
}

/// The function, if it is async and not generic.
fn function(item: TokenStream, errors: &mut Errors) -> Option<ItemFn> {
    let parser = |input: ParseStream<'_>| input.parse::<ItemFn>();
    let Ok(function) = Parser::parse2(parser, item) else {
        errors.at(Span::call_site(), "this attribute goes on an `async fn`");
        return None;
    };
    if function.sig.asyncness.is_none() {
        errors.on(function.sig.fn_token, "expected an `async fn`");
    }
    if !function.sig.generics.params.is_empty() {
        errors.on(&function.sig.generics, "this function cannot be generic");
    }
    Some(function)
}
