/* The search runs in a worker, which a browser refuses to a site that is opened from a folder.
   There, a hidden frame takes the worker's place. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      this.frame = document.body.appendChild(document.createElement("iframe"));
      this.frame.hidden = true;
      this.inside = this.frame.contentWindow;
      this.hear = (event) => {
        if (event.source !== this.inside) return;
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      };
      window.addEventListener("message", this.hear);
      const page = this.inside.document;
      page.open();
      page.write(
        `<script>
          var postMessage = (data) => parent.postMessage(data, "*");
          var importScripts = (...urls) => urls.reduce((before, url) => before.then(() =>
            new Promise((loaded) => {
              const script = document.createElement("script");
              script.src = url;
              script.onload = loaded;
              document.body.appendChild(script);
            })), Promise.resolve());
        </script><script src="${url}"></script>`,
      );
      this.ready = new Promise((loaded) => (this.inside.onload = loaded));
      page.close();
    }
    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() {
      this.frame.remove();
      window.removeEventListener("message", this.hear);
    }
  };
}
