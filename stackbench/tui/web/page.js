// Tells the terminal where its socket is, and the reader what has happened to it.
document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("terminal").dataset.sessionWebsocketUrl = `ws://${window.location.host}/ws`;
  new MutationObserver(() => {
    if (document.body.classList.contains("-first-byte")) {
      document.querySelector(".xterm-helper-textarea")?.focus();
    }
    if (document.body.classList.contains("-closed")) {
      document.getElementById("words").textContent = "The screens have ended; a live run goes on. Reload to open them again.";
    }
  }).observe(document.body, { attributes: true });
});
