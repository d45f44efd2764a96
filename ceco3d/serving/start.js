"use strict";
// Send a scan, wait for its labels, show them. The address keeps the job, so that the page can be loaded again.

const at = (id) => document.getElementById(id);
const limits = JSON.parse(at("limits").textContent);
const POLL = 700; // milliseconds
let chosen = null; // the file
let sending = null; // the request
let watched = null; // id of the job that is shown

function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  let k = 0;
  while (bytes >= 1000 && k < 3) [bytes, k] = [bytes / 1000, k + 1];
  return `${bytes.toFixed(k && bytes < 10 ? 1 : 0)} ${units[k]}`;
}

function say(text, share, failed = false) {
  at("job").hidden = false;
  at("job").classList.toggle("failed", failed);
  at("state").textContent = text;
  at("progress").hidden = at("cancel").hidden = failed || share === null;
  if (share === undefined) at("progress").removeAttribute("value");
  else if (share !== null) at("progress").value = share;
}

function fail(reason) {
  watched = sending = null;
  at("send").disabled = false;
  say(`Failed: ${reason}`, null, true);
}

function choose(file) {
  if (!file) return;
  chosen = file;
  at("chosen").textContent = `${file.name}, ${size(file.size)}`;
}

function detail(text, code) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return text || `the server answers ${code}`;
  }
}

function send() {
  if (!chosen) return fail("choose a scan first");
  if (chosen.size > limits.bytes) return fail(`${chosen.name} has ${size(chosen.size)}, the server takes ${size(limits.bytes)}`);
  at("result").hidden = true;
  at("send").disabled = true;
  const query = new URLSearchParams({ name: chosen.name, unit: at("unit").value, up: at("up").value });
  sending = new XMLHttpRequest();
  sending.open("POST", `/jobs?${query}`);
  sending.upload.onprogress = (event) => say(`Sending: ${size(event.loaded)} of ${size(event.total)}`, event.loaded / event.total);
  sending.onload = () => {
    if (sending.status !== 202) return fail(detail(sending.responseText, sending.status));
    const job = JSON.parse(sending.responseText);
    sending = null;
    history.replaceState(null, "", `#${job.id}`);
    watch(job.id);
  };
  sending.onerror = () => fail("the server ended the connection; is it still running, and is the file not too large?");
  say("Sending", 0);
  sending.send(chosen);
}

async function watch(id) {
  watched = id;
  at("send").disabled = true;
  while (watched === id) {
    let job;
    try {
      const answer = await fetch(`/jobs/${id}`);
      if (!answer.ok) throw new Error(detail(await answer.text(), answer.status));
      job = await answer.json();
    } catch (error) {
      return watched === id && fail(error instanceof TypeError ? "the server does not answer" : error.message);
    }
    if (watched !== id) return;
    if (job.state === "failed") return fail(job.reason);
    if (job.state === "done") return show(job);
    if (job.state === "queued") say(`Waiting: ${job.place === 1 ? "next" : `number ${job.place}`} in the queue`);
    else say(`Labeling ${job.name}: ${Math.round(job.seconds ?? 0)} s`);
    await new Promise((done) => setTimeout(done, POLL));
  }
}

function entry(list, text, url, name) {
  const item = document.createElement("li");
  const inner = url ? document.createElement("a") : item;
  inner.textContent = text;
  if (url) {
    inner.href = url;
    if (name) inner.download = name;
    else inner.target = "_blank";
    item.append(inner);
  }
  list.append(item);
}

async function show(job) {
  at("send").disabled = false;
  at("job").hidden = true;
  at("name").textContent = `${job.name}, labeled in ${job.seconds} s`;
  at("files").replaceChildren();
  at("warnings").replaceChildren();
  for (const file of job.files) {
    if (file.url.endsWith(".html")) {
      at("viewer").src = file.url;
      entry(at("files"), "View alone", file.url);
    } else entry(at("files"), `${file.name} (${size(file.bytes)})`, file.url, file.name);
  }
  at("result").hidden = false;
  const summary = job.files.find((file) => file.url.endsWith(".summary.json"));
  const { warnings } = await (await fetch(summary.url)).json();
  for (const warning of warnings) entry(at("warnings"), warning);
}

async function forget() {
  const id = watched;
  sending?.abort();
  watched = sending = chosen = null;
  history.replaceState(null, "", location.pathname);
  at("viewer").removeAttribute("src");
  at("job").hidden = at("result").hidden = true;
  at("send").disabled = false;
  at("form").reset();
  at("chosen").textContent = "Choose a scan, or drop one here";
  if (id) await fetch(`/jobs/${id}`, { method: "DELETE" });
}

at("file").addEventListener("change", () => choose(at("file").files[0]));
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
at("cancel").addEventListener("click", forget);
at("remove").addEventListener("click", forget);
for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && !sending) choose(event.dataTransfer.files[0]);
  });
}
if (location.hash.length > 1) watch(location.hash.slice(1));
