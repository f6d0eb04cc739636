use stackkit::{Result, Stack};

#[stackkit::program]
fn not_async(_: &mut Stack) -> Result<()> {
    Ok(())
}

#[stackkit::program(provider(Acme))]
async fn unknown_option(_: &mut Stack) -> Result<()> {
    Ok(())
}

#[stackkit::program]
async fn too_many(_: &mut Stack, _: &str) -> Result<()> {
    Ok(())
}

#[stackkit::program]
async fn no_result(_: &mut Stack) {}

#[stackkit::program]
async fn wrong_argument(_: u32) -> Result<()> {
    Ok(())
}

#[stackkit::program(providers(NotAProvider))]
async fn wrong_provider(_: &mut Stack) -> Result<()> {
    Ok(())
}

struct NotAProvider;

#[stackkit::program]
async fn not_send(_: &mut Stack) -> Result<()> {
    let shared = std::rc::Rc::new(5);
    std::future::ready(()).await;
    drop(shared);
    Ok(())
}

#[stackkit::test]
async fn arguments(_: &str) {}

#[stackkit::test]
fn plain() {}

fn main() {}
