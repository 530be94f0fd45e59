// The model's card, as much of Markdown as cards have: headings, lists, tables and code. All of it
// becomes text of elements, never HTML.

export function cardOf(markdown) {
  const nodes = [];
  let open = null;  // what the next line may go on with
  for (const line of markdown.split("\n")) {
    const heading = /^(#{1,4}) (.*)/.exec(line), item = /^[-*] (.*)/.exec(line);
    if (!line.trim()) open = null;
    else if (heading) {
      nodes.push(element(`h${heading[1].length + 2}`, heading[2]));
      open = null;
    } else if (item) {
      if (open?.tagName !== "UL") nodes.push(open = document.createElement("ul"));
      open.append(element("li", item[1]));
    } else if (line.startsWith("|")) {
      const cells = line.replace(/^\||\|\s*$/g, "").split("|").map(cell => cell.trim());
      if (open?.tagName !== "TABLE") {
        nodes.push(open = document.createElement("table"));
        open.append(row(cells, "th"));
      } else if (!cells.every(cell => /^:?-+:?$/.test(cell))) open.append(row(cells, "td"));
    } else if (open?.tagName === "P") open.append("\n", ...inline(line));
    else nodes.push(open = element("p", line));
  }
  return nodes;
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.append(...inline(text));
  return made;
}

function row(cells, tag) {
  const made = document.createElement("tr");
  made.append(...cells.map(cell => element(tag, cell)));
  return made;
}

// Text, with what stands between backticks as code.
function inline(text) {
  return text.split(/`([^`]*)`/).map((part, i) => {
    if (i % 2 === 0) return document.createTextNode(part);
    const code = document.createElement("code");
    code.textContent = part;
    return code;
  });
}
