// Shows new mails as they come, without loading the page again.
(function () {
  "use strict";

  const mails = document.getElementById("mails");

  async function look() {
    const answer = await fetch(location.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("mails");
    if (answer.ok && found.innerHTML !== mails.innerHTML) mails.replaceChildren(...found.childNodes);
  }

  window.setInterval(() => look().catch(() => {}), 2000);
})();
