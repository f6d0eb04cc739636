//! Questions: only ever asked on a terminal, and given up at once when the run is cancelled.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::mpsc;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::cli::signal::Signals;

/// Whether there is somebody to ask.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question that is answered with yes or no. No answer, and a cancelled run, are a no.
pub(crate) fn confirm(question: &str, signals: &Signals) -> bool {
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let (answer, answers) = mpsc::channel();
    let cancelled = answer.clone();
    signals.on_cancel(move || {
        let _ = cancelled.send(None);
    });
    // The thread may stay behind in its read; it ends with the process, which a cancelled run is about to do.
    let reader = std::thread::Builder::new().name("prompt".into()).spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        let _ = answer.send(read.ok().map(|_| line));
    });
    if reader.is_err() {
        return false;
    }
    let line = answers.recv().ok().flatten();
    if line.as_deref().is_none_or(|line| !line.ends_with('\n')) {
        let _ = writeln!(stderr);
    }
    line.is_some_and(|line| matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a secret, which is not shown while it is typed.
pub(crate) fn secret(question: &str) -> io::Result<SecretString> {
    let text = Zeroizing::new(rpassword::prompt_password(question)?);
    Ok(SecretString::from(text.as_str()))
}

/// Asks for a line of text.
pub(crate) fn line(question: &str) -> io::Result<String> {
    let mut stderr = io::stderr();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// All of standard input, without the line break at its end.
pub(crate) fn stdin() -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(io::read_to_string(io::stdin().lock())?);
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}
