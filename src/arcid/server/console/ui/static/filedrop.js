// A place to choose a zip, a folder or a list. It goes to the service at once, as one file; the page gets its id.
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function checksum(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function record(...fields) {
  const data = new DataView(new ArrayBuffer(fields.reduce((sum, [size]) => sum + size, 0)));
  let at = 0;
  for (const [size, value] of fields) {
    size === 2 ? data.setUint16(at, value, true) : data.setUint32(at, value, true);
    at += size;
  }
  return data.buffer;
}

// The files of a folder as one zip, stored: the browser reads them from disk while it sends.
async function zipped(files) {
  const parts = [];
  const directory = [];
  let at = 0;
  for (const file of files) {
    const name = new TextEncoder().encode(file.webkitRelativePath);
    const crc = checksum(new Uint8Array(await file.arrayBuffer()));
    const said = [[2, 20], [2, 0x800], [2, 0], [2, 0], [2, 0x21], [4, crc], [4, file.size], [4, file.size],
                  [2, name.length], [2, 0]];
    parts.push(record([4, 0x04034b50], ...said), name, file);
    directory.push(record([4, 0x02014b50], [2, 20], ...said, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]), name);
    at += 30 + name.length + file.size;
  }
  const length = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const end = record([4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, length], [4, at], [2, 0]);
  return new Blob([...parts, ...directory, end]);
}

export default {
  template: `
    <div class="drop" :class="{ 'drop-over': over, 'drop-busy': share !== null }"
         @dragover.prevent="over = true" @dragleave="over = false" @drop.prevent="dropped">
      <label>
        <input type="file" :accept="accept" :webkitdirectory="folder" :aria-label="label" @change="chosen"
               :disabled="share !== null">
        <span class="drop-icon" v-html="icon"></span>
        <strong>{{ share !== null ? busyText : label }}</strong>
        <span class="soft">{{ hint }}</span>
      </label>
      <progress v-if="share !== null" class="wide" max="1" :value="share" :aria-label="busyText"></progress>
      <p v-if="problem" class="problem" role="alert">{{ problem }}</p>
    </div>`,
  props: {
    address: String,
    label: String,
    hint: String,
    accept: String,
    folder: Boolean,
    busyText: String,
    failedText: String,
    tooLargeText: String,
    tooManyText: String,
    maxBytes: Number,
    icon: String,
  },
  data() {
    return { over: false, share: null, problem: "" };
  },
  methods: {
    chosen(event) {
      const files = [...event.target.files];
      event.target.value = "";
      this.take(files);
    },
    dropped(event) {
      this.over = false;
      if (!this.folder && this.share === null) this.take([...event.dataTransfer.files].slice(0, 1));
    },
    async take(files) {
      if (!files.length) return;
      this.problem = "";
      this.share = 0;
      try {
        const size = files.reduce((sum, file) => sum + file.size, 0);
        if (size > this.maxBytes) throw new Error(this.tooLargeText);
        if (files.length > 65535) throw new Error(this.tooManyText);
        const name = this.folder ? files[0].webkitRelativePath.split("/")[0] : files[0].name;
        const body = this.folder ? await zipped(files) : files[0];
        this.$emit("file", { id: (await this.send(body)).id, name });
      } catch (error) {
        this.problem = error.message || this.failedText;
      } finally {
        this.share = null;
      }
    },
    send(body) {
      return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        request.open("POST", this.address);
        request.upload.onprogress = (event) => (this.share = event.loaded / event.total);
        request.onerror = () => reject(new Error(this.failedText));
        request.onload = () => {
          let answer = {};
          try {
            answer = JSON.parse(request.responseText);
          } catch {}
          if (request.status === 201) resolve(answer);
          else reject(new Error(answer.error?.message || this.failedText));
        };
        request.send(body);
      });
    },
  },
};
