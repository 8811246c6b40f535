// A button for choosing files, of any size: a file is sent in pieces, each when the one before has arrived,
// since a notebook's connection breaks at a large message (Jupyter's at 10 MB, Colab's at less).
const PIECE = 512 * 1024;
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

function render({ model, el }) {
  const button = document.createElement("button");
  button.textContent = "Choose photos";
  button.className = "jupyter-button widget-button";
  button.style.width = "180px";
  const input = document.createElement("input");
  Object.assign(input, { type: "file", multiple: true, accept: model.get("accept"), hidden: true });
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  said.style.marginLeft = "8px";
  el.append(button, input, said);
  let newest = 0; // a choice ends the sending of the one before

  async function send(files, choice) {
    for (const [number, file] of files.entries()) {
      for (let start = 0; start === 0 || start < file.size; start += PIECE) {
        if (choice !== newest) return;
        said.textContent = `sending ${file.name}: ${megabytes(start)} of ${megabytes(file.size)} MB`;
        const piece = await file.slice(start, start + PIECE).arrayBuffer();
        const last = number === files.length - 1 && start + PIECE >= file.size;
        const arrived = answer(choice);
        model.send({ choice, number, name: file.name, start, last }, undefined, [piece]);
        await arrived;
      }
    }
    said.textContent = "";
  }

  const answer = (choice) =>
    new Promise((resolve) => {
      const listen = (message) => {
        if (message.arrived !== choice) return;
        model.off("msg:custom", listen);
        resolve();
      };
      model.on("msg:custom", listen);
    });

  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same photo can be chosen again
    newest = Date.now();
    send(files, newest).catch((error) => (said.textContent = `could not be sent: ${error.message}`));
  });
}

export default { render };
