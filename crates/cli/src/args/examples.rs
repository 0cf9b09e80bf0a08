//! Three examples for every command, which its long help and its manual page show.

use std::fmt::Write as _;

use clap::{Command, builder::StyledStr};

/// What a command line does, and the line. A test runs every one of them.
pub type Example = (&'static str, &'static str);

/// By the words after `glass`. A new command is listed here too: a test fails otherwise.
const EXAMPLES: [(&str, [Example; 3]); 18] = [
    (
        "",
        [
            ("Run the model that is built in", "glass"),
            ("Continue a text with a model of the Hugging Face hub", "glass generate org/name -p \"Once upon a time\""),
            ("Talk with the model in a folder", "glass chat path/to/model"),
        ],
    ),
    (
        "generate",
        [
            ("Continue a text by 100 tokens at most", "glass generate org/name -p \"Once upon a time\" -n 100"),
            (
                "Sample; another seed gives another text",
                "glass generate org/name -p \"Once\" --temperature 0.8 --seed 7",
            ),
            (
                "Read the prompt from a file, print one JSON object",
                "glass generate org/name --prompt-file text.txt --json",
            ),
        ],
    ),
    (
        "batch",
        [
            (
                "Continue every prompt of a file; the same again goes on where it ended",
                "glass batch org/name --prompts prompts.jsonl -o texts.jsonl",
            ),
            (
                "32 prompts at a time, 200 tokens at most, to standard output",
                "glass batch org/name --prompts prompts.jsonl --batch 32 -n 200",
            ),
            ("Start anew", "glass batch org/name --prompts prompts.jsonl -o texts.jsonl --force"),
        ],
    ),
    (
        "search",
        [
            ("The best text of 4 beams", "glass search org/name -p \"Once upon a time\" -n 20"),
            ("The best three of 8 beams", "glass search org/name -p \"Once\" --num-beams 8 --num-return-sequences 3"),
            ("The best of all texts of two tokens", "glass search org/name -p \"Once\" --exhaustive -n 2"),
        ],
    ),
    (
        "tokenize",
        [
            ("Show the tokens of a text", "glass tokenize org/name -p \"Once upon a time\""),
            ("As one JSON object", "glass tokenize org/name -p \"Once\" --json"),
            ("The pieces of some ids", "glass tokenize org/name --ids 1,2,3"),
        ],
    ),
    (
        "chat",
        [
            ("Talk with a model of the Hugging Face hub", "glass chat org/name"),
            ("Tell it how to answer", "glass chat org/name --system \"You are terse.\" --temperature 0.7"),
            ("Go on with a conversation that /save wrote", "glass chat org/name --load talk.json"),
        ],
    ),
    (
        "serve",
        [
            ("Answer at http://127.0.0.1:8080/v1", "glass serve org/name"),
            ("32 texts at once, each of 4096 tokens at most", "glass serve org/name --parallel 32 --context 4096"),
            ("For other machines, with keys", "glass serve org/name --host 0.0.0.0 --api-key-file keys.txt"),
        ],
    ),
    (
        "logits",
        [
            ("The logits of every position of a text", "glass logits org/name -p \"ROMEO:\" -o logits.safetensors"),
            (
                "Hidden states and attention probabilities too, for token ids",
                "glass logits org/name --ids 1,2,3 --capture hidden,attention -o all.safetensors",
            ),
            (
                "Several texts, in tensor operations written like the papers",
                "glass logits org/name --ids-file ids.json --kernels plain -o new.safetensors",
            ),
        ],
    ),
    (
        "info",
        [
            ("Architecture, parameters and memory", "glass info org/name"),
            ("Every tensor too", "glass info path/to/model --tensors"),
            ("What another window would change, for a program", "glass info org/name --set sliding_window=64 --json"),
        ],
    ),
    (
        "convert",
        [
            ("Round to bfloat16", "glass convert org/name -o path/to/new --dtype bf16"),
            ("Files of 2 GB at most", "glass convert path/to/model -o path/to/new --max-shard-size 2GB"),
            ("Overwrite the model that is there", "glass convert path/to/model -o path/to/new --force"),
        ],
    ),
    (
        "quantize",
        [
            ("8.5 bits per weight", "glass quantize org/name --dtype q8 -o path/to/small"),
            ("4.5 bits per weight", "glass quantize path/to/model --dtype q4 -o path/to/small"),
            ("A GGUF file for llama.cpp", "glass quantize path/to/model --format q4_k_m -o path/to/small.gguf"),
        ],
    ),
    (
        "train",
        [
            ("A small model of your own, one token per character", "glass train --text input.txt -o my-first"),
            (
                "Another shape, learned tokens and more steps",
                "glass train --text input.txt -o my-second --preset tiny --tokenizer bpe:300 --steps 2000",
            ),
            ("Go on after Ctrl-C or a power cut", "glass train --resume my-first"),
        ],
    ),
    (
        "eval perplexity",
        [
            ("How well a model predicts a text", "glass eval perplexity org/name --text input.txt"),
            (
                "Its first 2000 tokens, in windows of 256 that overlap by half",
                "glass eval perplexity org/name --text input.txt --max-tokens 2000 --window 256 --stride 128",
            ),
            (
                "By how many tokens were read before, with a plot",
                "glass eval perplexity org/name --text input.txt --by-position --plot loss.svg",
            ),
        ],
    ),
    (
        "eval needle",
        [
            ("What a model retrieves from texts of 256 to 1024 tokens", "glass eval needle org/name"),
            (
                "What a cache policy costs",
                "glass eval needle org/name --length 512 --cache full --cache tova:128 --plot needle.svg",
            ),
            ("Chains of keys", "glass eval needle org/name --mode chain --hops 1,2,4"),
        ],
    ),
    (
        "bench",
        [
            ("The built-in model on every device of this machine", "glass bench"),
            ("A model in three types on the CPU", "glass bench org/name --device flex --dtype f32,bf16,q8"),
            ("Where the time goes", "glass bench org/name --device flex --ops"),
        ],
    ),
    (
        "devices",
        [
            ("What there is", "glass devices"),
            ("Compute on the first GPU of the list", "glass generate org/name -p \"Once\" --device wgpu:0"),
            ("The same for every command of this shell", "export GLASS_DEVICE=wgpu:0"),
        ],
    ),
    (
        "completions",
        [
            ("For bash", "glass completions bash > ~/.local/share/bash-completion/completions/glass"),
            ("For zsh, in a folder of $fpath", "glass completions zsh > ~/.zfunc/_glass"),
            ("For fish", "glass completions fish > ~/.config/fish/completions/glass.fish"),
        ],
    ),
    (
        "man",
        [
            ("Read a page", "glass man generate | man -l -"),
            ("Install all pages", "glass man -o ~/.local/share/man/man1"),
            ("Write them again, for a new version", "glass man -o ~/.local/share/man/man1 --force"),
        ],
    ),
];

/// The examples of a command; none for one that only has commands of its own.
pub fn examples_of(path: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(of, _)| *of == path).map_or(&[], |(_, examples)| examples)
}

/// Adds them to the long help of `command` and of all its commands; a number may be negative everywhere, and is refused as
/// what it is. `path` is its name without `glass`.
pub fn with_examples(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |command| with_examples(command, path.trim_start()))
    });
    let command = command.allow_negative_numbers(true);
    match examples_of(path) {
        [] => command,
        examples => command.after_long_help(long_help(examples)),
    }
}

fn long_help(examples: &[Example]) -> StyledStr {
    // As clap's own headings; clap takes the style out where there is no terminal.
    let mut text = "\x1b[1m\x1b[4mExamples:\x1b[0m".to_owned();
    for (what, line) in examples {
        let _ = write!(text, "\n  {what}:\n      {line}");
    }
    text.into()
}
