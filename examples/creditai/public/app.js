// The page: files a dispute, and shows everybody's as they come in.

const SHOWN = 20;
const form = document.getElementById("dispute");
const list = document.getElementById("disputes");
const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

async function call(path, options) {
  const response = await fetch(path, options);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error?.message ?? `The service answered ${response.status}`);
  return body;
}

// ---- the list

function item(dispute) {
  const li = document.getElementById("item").content.cloneNode(true).firstElementChild;
  li.dataset.id = dispute.id;
  li.querySelector(".creditor").textContent = dispute.creditor;
  li.querySelector(".reason").textContent = dispute.reason;
  li.querySelector(".who").textContent = dispute.account;
  if (dispute.amountCents !== null)
    li.querySelector(".amount").textContent = money.format(dispute.amountCents / 100);
  const time = li.querySelector("time");
  time.dateTime = dispute.createdAt;
  time.textContent = moment.format(new Date(dispute.createdAt));
  if (dispute.document) {
    const link = li.querySelector(".document");
    link.href = `/api/uploads/${dispute.document}`;
    link.hidden = false;
  }
  return li;
}

function showNew(dispute) {
  if (list.querySelector(`[data-id="${dispute.id}"]`)) return;
  const li = item(dispute);
  li.classList.add("new");
  list.prepend(li);
  while (list.children.length > SHOWN) list.lastElementChild.remove();
  document.getElementById("empty").hidden = true;
}

async function refresh() {
  const { disputes } = await call(`/api/disputes?limit=${SHOWN}`);
  list.replaceChildren(...disputes.map(item));
  document.getElementById("empty").hidden = disputes.length > 0;
}

// ---- live: reconnects by itself, as it must when a release sends it elsewhere

function showServed({ version, instance }) {
  const served = document.getElementById("served");
  served.textContent = `${version} · ${instance}`;
  served.dataset.colour = ["blue", "green"].find((colour) => instance.includes(colour)) ?? "";
}

function showLive(state, text) {
  const live = document.getElementById("live");
  live.dataset.state = state;
  live.textContent = text;
}

function connect(wait = 250) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  let opened = false;
  socket.addEventListener("open", () => {
    opened = true;
    showLive("open", "Live");
    refresh().catch(() => showLive("closed", "The list may be old"));
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "hello") showServed(message);
    if (message.type === "dispute.created") showNew(message.dispute);
  });
  socket.addEventListener("close", () => {
    showLive("closed", "Reconnecting");
    const next = opened ? 250 : Math.min(wait * 2, 5000);
    setTimeout(() => connect(next), wait * (0.5 + Math.random() / 2));
  });
}

// ---- the form

// One key a dispute, kept until it is answered: pressing again after a broken connection files it once.
let key = crypto.randomUUID();

async function uploadDocument() {
  const file = document.getElementById("file").files[0];
  if (!file) return null;
  const headers = {
    "Content-Type": file.type || "application/octet-stream",
    "X-File-Name": encodeURIComponent(file.name),
  };
  return (await call("/api/uploads", { method: "POST", headers, body: file })).sha256;
}

function say(text, bad) {
  const said = document.getElementById("said");
  said.textContent = text;
  said.toggleAttribute("data-bad", bad);
}

async function signIn(email) {
  const headers = { "Content-Type": "application/json" };
  await call("/api/sessions", { method: "POST", headers, body: JSON.stringify({ email }) });
}

async function fileDispute() {
  const fields = Object.fromEntries(
    ["account", "creditor", "reason"].map((name) => [name, form.elements[name].value]),
  );
  const amount = form.elements.amount.value;
  const amountCents = amount === "" ? null : Math.round(Number(amount) * 100);
  await signIn(fields.account);
  const body = JSON.stringify({ ...fields, amountCents, document: await uploadDocument() });
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  return call("/api/disputes", { method: "POST", headers, body });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    showNew(await fileDispute());
    key = crypto.randomUUID();
    for (const name of ["creditor", "amount", "reason", "file"]) form.elements[name].value = "";
    say("Filed. It is in the list.", false);
  } catch (error) {
    say(`${error.message}. Nothing is lost: press again.`, true);
  } finally {
    button.disabled = false;
  }
});

// Changing what is sent makes it another dispute.
form.addEventListener("input", () => {
  key = crypto.randomUUID();
  say("", false);
});

connect();
call("/api/version").then(showServed, () => showLive("closed", "Not reachable"));
call("/api/sessions/current").then(
  ({ email }) => (form.elements.account.value ||= email ?? ""),
  () => undefined, // without sessions the address is typed in
);
