//! `rigor completions` and `rigor man`: the command as shells and manuals know it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap_complete::Shell;
use rigor_core::result::EXIT_OK;
use rigor_reports::store::write_atomically;

use crate::error::CommandError;
use crate::print::print;

/// Print a script that completes the command's words in a shell.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  rigor completions bash > ~/.local/share/bash-completion/completions/rigor
  rigor completions zsh  > ~/.zfunc/_rigor      # a folder of $fpath, before compinit
  rigor completions fish > ~/.config/fish/completions/rigor.fish

The script completes `rigor`, which has to be in $PATH: cargo install --path suites/rigor.")]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, command: &mut clap::Command) -> Result<ExitCode, CommandError> {
    // Into memory first: the generator panics if its reader goes away.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "rigor", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(ExitCode::from(EXIT_OK))
}

/// Write the manual pages: rigor.1 and one for each subcommand.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  rigor man ~/.local/share/man/man1 && man rigor
  rigor man /tmp/man && man -l /tmp/man/rigor-run.1")]
pub(crate) struct ManArguments {
    /// The folder that receives them; made if it is not there.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(crate) fn manual(arguments: &ManArguments, mut command: clap::Command) -> Result<ExitCode, CommandError> {
    command.build();
    let folder = &arguments.folder;
    let refused = |action, path: &PathBuf| {
        let path = path.clone();
        move |source| CommandError::Io { action, path, source, remedy: "choose a folder that may be written" }
    };
    std::fs::create_dir_all(folder).map_err(refused("create the folder", folder))?;
    let pages = std::iter::once(command.clone()).chain(command.get_subcommands().cloned());
    let mut written = 0;
    for page in pages {
        let name = page.get_display_name().unwrap_or(page.get_name()).to_owned();
        let mut text = Vec::new();
        let path = folder.join(format!("{name}.1"));
        clap_mangen::Man::new(page).render(&mut text).map_err(refused("write", &path))?;
        write_atomically(&path, &text)?;
        written += 1;
    }
    print(&format!("{written} pages in {}\n", folder.display()));
    Ok(ExitCode::from(EXIT_OK))
}
