// Makes one tool call. In a clone of the repository, with a converted model:
//
//     cargo run --release --example call -- MODEL.gguf "A table for two in Oakland at eight"
//
// Plain comments, since the documentation of the library includes this file.

use edgecall::{
    call::{self, Settings},
    chat::{Conversation, Message, Role, task_system_text},
    runtime::Model,
    tools::ToolSet,
};
use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(model), Some(prompt)) = (arguments.next(), arguments.next()) else {
        return Err("usage: call MODEL.gguf PROMPT".into());
    };
    let tools = ToolSet::parse(&fs::read("examples/restaurants/tools.json")?)?;
    let task = fs::read_to_string("examples/restaurants/task.txt")?;
    let messages = vec![Message::text(Role::User, prompt)];
    let conversation = Conversation { messages, tools: None }.with_system(task_system_text(&task));

    let model = Model::load(Path::new(&model))?;
    // Greedy decoding under the tools' grammar, at most one call.
    let answer = call::call(&model, &tools, &conversation, &Settings::default())?;
    for tool_call in &answer.calls {
        println!("{tool_call}");
    }
    Ok(())
}
