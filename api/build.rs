//! Tells cargo what the binary embeds.

fn main() {
    // A debug build reads the page from `web/dist` when it is asked for. A release embeds it, under names
    // that change with every build of the page, which the embedding macro alone would not notice. (A folder
    // that is missing makes cargo rebuild each time, so only the build that needs it says so.)
    let embeds = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo::rerun-if-changed={}", if embeds { "../web/dist" } else { "build.rs" });
}
