use stackkit::{Output, Secret, text};

struct Opaque;

fn main() {
    let host = Output::known("x".to_owned());
    let _ = text!("{}:{}", host);
    let _ = text!("{}", host, host);
    let _ = text!("{:?}", host);
    let _ = text!("{0}", host);
    let _ = text!("{host.name}");
    let _ = text!("{");
    let _ = text!(host);
    let _ = text!("{}", Opaque);
    let _ = text!("{missing}");
    let hidden = Output::known(Secret::new("x".to_owned()));
    let _: Output<String> = text!("{hidden}");
}
