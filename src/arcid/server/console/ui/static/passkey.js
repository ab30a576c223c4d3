// Passkeys: a form's question to the browser, and the answer into its hidden field.
"use strict";
for (const form of document.querySelectorAll("form[data-passkey]"))
  form.addEventListener("submit", async (event) => {
    const field = form.elements.answer, { passkey, ask, failed, missing } = form.dataset;
    if (field.value) return;
    event.preventDefault();
    try {
      if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) throw new Error(missing);
      const asked = await fetch(ask);
      const question = await asked.json();
      if (!asked.ok) throw new Error(question.error.message);
      const made = passkey === "create"
        ? await navigator.credentials.create(
          { publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(question) })
        : await navigator.credentials.get(
          { publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(question) });
      field.value = JSON.stringify(made.toJSON());
      form.submit();
    } catch (problem) {
      const said = form.querySelector(".door-problem") ?? form.insertBefore(
        Object.assign(document.createElement("p"), { className: "door-problem", role: "alert" }),
        form.firstChild);
      said.textContent = problem instanceof DOMException ? failed : problem.message;
    }
  });
