// A camera on a page: the browser's own, whose frames are sent to the service and whose answers are
// drawn over the live picture ("push"), or one of the service's, frames and answers together ("watch").
const COLOURS = { good: "#35c46f", warn: "#f2b134", bad: "#ff5a4f", plain: "#ffffff" };
const ENCODER = new TextDecoder();
const AGAIN_MS = 5000; // until a page that starts its camera by itself looks for it again

export default {
  template: `
    <div class="camera" :class="{ 'camera-live': live }">
      <div class="camera-box" ref="box">
        <video v-if="mode === 'push'" ref="video" playsinline muted autoplay
               :class="{ mirrored: mirrored }" aria-hidden="true"></video>
        <canvas ref="canvas" role="img" :aria-label="spoken"></canvas>
        <div class="camera-tools" v-if="!auto">
          <button type="button" class="button" v-if="wanted" :aria-label="stopText + ': ' + name"
                  @click="stop" v-html="icons.stop"></button>
          <button type="button" class="button" v-if="tools" :aria-label="enlargeText"
                  :aria-pressed="String(large)" @click="enlarge" v-html="icons.enlarge"></button>
        </div>
        <div class="camera-cover" v-if="!wanted && (mode === 'push' || tools)">
          <button type="button" class="button primary" @click="start">{{ startText }}</button>
        </div>
        <p class="camera-state" v-if="problem" role="alert">{{ problem }}</p>
        <p class="camera-latency" v-if="latency !== null && showLatency">{{ latency }} ms</p>
      </div>
      <div class="camera-prompt" aria-live="assertive" v-if="prompt" :class="'tone-' + tone">
        <strong>{{ prompt }}</strong><span v-if="detail">{{ detail }}</span>
        <progress v-if="progress !== null" max="1" :value="progress" aria-hidden="true"></progress>
      </div>
    </div>`,
  props: {
    root: String,
    feed: String,
    mode: String,
    mirrored: Boolean,
    auto: Boolean,
    showLatency: Boolean,
    tools: Boolean,
    stopText: String,
    enlargeText: String,
    name: String,
    icons: Object,
    title: String,
    nobodyText: String,
    startText: String,
    refusedText: String,
    missingText: String,
    insecureText: String,
    endedText: String,
    lostText: String,
    stateTexts: Object,
    sendWidth: { type: Number, default: 640 },
    fps: { type: Number, default: 15 },
  },
  data() {
    return {
      wanted: false, live: false, problem: "", faces: [], size: null, latency: null,
      prompt: "", detail: "", tone: "plain", progress: null, large: false,
    };
  },
  computed: {
    spoken() {
      const names = this.faces.map((face) => face.label).filter(Boolean);
      return `${this.title}: ${names.join(", ") || this.nobodyText}`;
    },
  },
  mounted() {
    this.pause = 500;
    this.resizing = new ResizeObserver(() => this.draw());
    this.resizing.observe(this.$refs.box);
    document.addEventListener("arcid-enlarged", this.measure);
    this.fold = this.$el.closest("details");
    this.fold?.addEventListener("toggle", this.folded);
    if (this.mode === "watch" || this.auto) this.start();
  },
  unmounted() {
    this.stop();
    this.resizing.disconnect();
    document.removeEventListener("arcid-enlarged", this.measure);
    this.fold?.removeEventListener("toggle", this.folded);
  },
  methods: {
    async start() {
      clearTimeout(this.timer);
      this.wanted = true;
      if (this.mode !== "push" || await this.opened()) this.join();
    },
    async opened() {  // whether a camera of this device shows its picture
      try {
        if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
        const stream = await navigator.mediaDevices.getUserMedia({
          audio: false,
          video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } },
        });
        if (!this.wanted || this.stream) {  // stopped while the browser asked, or asked twice
          stream.getTracks().forEach((track) => track.stop());
          return false;
        }
        this.stream = stream;
        for (const track of stream.getTracks()) track.onended = () => this.lost(this.endedText, true);
        this.$refs.video.srcObject = stream;
        await this.$refs.video.play();
      } catch (error) {
        const texts = { NotAllowedError: this.refusedText, SecurityError: this.insecureText };
        if (this.wanted) this.lost(texts[error.name] || this.missingText, !texts[error.name]);
      }
      return this.wanted;
    },
    lost(problem, again) {  // the camera is gone, or there was none
      this.stop();
      this.problem = problem;
      if (this.auto && again) this.timer = setTimeout(() => this.start(), AGAIN_MS);
    },
    folded() {
      if (!this.fold.open) this.stop();
    },
    stop() {
      this.wanted = false;
      clearTimeout(this.timer);
      this.socket?.close();
      this.socket = null;
      this.stream?.getTracks().forEach((track) => track.stop());
      this.stream = null;
      this.picture?.close();
      this.picture = null;
      Object.assign(this, { live: false, problem: "", faces: [], latency: null, size: null });
      this.draw();
    },
    measure() {
      this.large = Boolean(this.$el.closest(".live-tile.enlarged"));
    },
    enlarge() {
      const tile = this.$el.closest(".live-tile"), others = tile.parentElement.children;
      const large = !tile.classList.contains("enlarged");
      for (const other of others) other.classList.toggle("enlarged", other === tile && large);
      document.dispatchEvent(new Event("arcid-enlarged"));
      tile.scrollIntoView({ block: "nearest" });
    },
    join() {
      if (!this.wanted) return;
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}${this.root}/feed/${this.feed}`);
      socket.binaryType = "arraybuffer";
      this.socket = socket;
      socket.onopen = () => {
        this.problem = "";
        this.pause = 500;
        this.sent = 0;
        this.waits = null;
        if (this.mode === "push") this.send();
      };
      socket.onmessage = (event) => this.mode === "push" ? this.answered(event) : this.shown(event);
      socket.onclose = (event) => {
        this.live = false;
        if (!this.wanted || socket !== this.socket) return;
        if (event.code === 4401) return location.reload();
        this.problem = this.problem || this.lostText;
        this.timer = setTimeout(() => this.join(), this.pause);
        this.pause = Math.min(this.pause * 2, 10000);
      };
    },
    async send() {
      const video = this.$refs.video, socket = this.socket;
      if (!this.wanted || socket.readyState !== WebSocket.OPEN) return;
      const began = performance.now();
      const free = this.sent === 0 || began - this.sent > 1000;
      if (video.videoWidth && free && !document.hidden) {
        const width = Math.min(this.sendWidth, video.videoWidth);
        const height = Math.round(video.videoHeight * width / video.videoWidth);
        this.sheet = this.sheet || document.createElement("canvas");
        this.sheet.width = width;
        this.sheet.height = height;
        const at = Date.now();
        this.sheet.getContext("2d").drawImage(video, 0, 0, width, height);
        const blob = await new Promise((done) => this.sheet.toBlob(done, "image/jpeg", 0.85));
        if (blob && socket.readyState === WebSocket.OPEN) {
          const head = new DataView(new ArrayBuffer(8));
          head.setFloat64(0, at, true);
          this.sent = began;
          this.waits ??= began;
          socket.send(new Blob([head, blob]));
        }
      }
      if (socket !== this.socket) return;  // stopped meanwhile
      const rest = 1000 / this.fps - (performance.now() - began);
      this.timer = setTimeout(() => this.send(), Math.max(rest, 5));
    },
    answered(event) {
      const message = JSON.parse(event.data), began = this.waits;
      this.sent = 0;
      this.waits = null;
      if (message.problem) {
        this.problem = message.problem;
        return;
      }
      if (began) this.latency = Math.round(performance.now() - began);
      this.take(message);
    },
    async shown(event) {
      const view = new DataView(event.data);
      const length = view.getUint32(0, true);
      const message = JSON.parse(ENCODER.decode(new Uint8Array(event.data, 4, length)));
      try {
        if (message.state === "live") {
          const blob = new Blob([new Uint8Array(event.data, 4 + length)], { type: "image/jpeg" });
          const picture = await createImageBitmap(blob);
          this.picture?.close();
          this.picture = picture;
          this.problem = "";
          this.take(message);
        } else {
          this.live = false;
          const words = [this.stateTexts[message.state], message.problem];
          this.problem = words.filter(Boolean).join(": ");
        }
      } catch (error) {
        console.warn("a picture could not be shown", error);
      } finally {
        if (this.socket?.readyState === WebSocket.OPEN) this.socket.send("next");
      }
    },
    take(message) {
      this.live = true;
      this.faces = message.faces || [];
      this.size = message.size || this.size;
      for (const name of ["prompt", "detail", "tone", "progress"])
        if (name in message) this[name] = message[name];
      if (message.event) this.$emit("event", message.event);
      if (message.done) this.stop();
      else this.draw();
    },
    draw() {
      const canvas = this.$refs.canvas, box = this.$refs.box;
      if (!canvas || !box) return;
      const ratio = window.devicePixelRatio || 1;
      const width = box.clientWidth, height = box.clientHeight;
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      const pen = canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      if (!this.size) return;
      const [w, h] = this.size;
      const scale = Math.min(width / w, height / h);
      const left = (width - w * scale) / 2, top = (height - h * scale) / 2;
      if (this.picture) pen.drawImage(this.picture, left, top, w * scale, h * scale);
      pen.font = "600 14px system-ui, sans-serif";
      pen.textBaseline = "middle";
      for (const face of this.faces) {
        let [x1, y1, x2, y2] = face.box;
        if (this.mirrored) [x1, x2] = [w - x2, w - x1];
        const x = left + x1 * scale, y = top + y1 * scale;
        const fw = (x2 - x1) * scale, fh = (y2 - y1) * scale;
        const colour = COLOURS[face.tone] || COLOURS.plain;
        pen.strokeStyle = "#0008";
        pen.lineWidth = 5;
        pen.beginPath();
        pen.roundRect(x, y, fw, fh, 12);
        pen.stroke();
        pen.strokeStyle = colour;
        pen.lineWidth = 2.5;
        pen.stroke();
        if (!face.label) continue;
        const text = face.more ? `${face.label}  ${face.more}` : face.label;
        const tw = Math.min(pen.measureText(text).width, width - 24) + 18;
        const tx = Math.min(Math.max(x, 4), Math.max(width - tw - 4, 4));
        const ty = y + fh + 30 < height ? y + fh + 5 : Math.max(y - 31, 4);
        pen.fillStyle = "#0b111bd9";
        pen.beginPath();
        pen.roundRect(tx, ty, tw, 26, 8);
        pen.fill();
        pen.fillStyle = colour;
        pen.fillText(text, tx + 9, ty + 13.5, tw - 18);
      }
    },
  },
};
