use stackkit::{Output, Secret};

fn main() {
    println!("{}", Secret::new("hunter2".to_owned()));
    let _ = Secret::new("hunter2".to_owned()).to_string();
    println!("{}", Output::known("x".to_owned()));
}
