// A place to drop, paste or choose pictures. They go to the service at once; the page gets their ids.
export default {
  template: `
    <div class="drop" :class="{ 'drop-over': over, 'drop-busy': waiting > 0 }"
         @dragover.prevent="over = true" @dragleave="over = false" @drop.prevent="dropped">
      <label>
        <input type="file" accept="image/*" :multiple="multiple" :aria-label="label" @change="chosen"
               :disabled="waiting > 0">
        <span class="drop-icon" v-html="icon"></span>
        <strong>{{ waiting > 0 ? busyText : label }}</strong>
        <span class="soft">{{ hint }}</span>
      </label>
      <p v-if="problem" class="problem" role="alert">{{ problem }}</p>
    </div>`,
  props: {
    root: String,
    label: String,
    hint: String,
    busyText: String,
    failedText: String,
    icon: String,
    multiple: Boolean,
    paste: Boolean,
    maxBytes: Number,
    tooLargeText: String,
  },
  data() {
    return { over: false, waiting: 0, problem: "" };
  },
  mounted() {
    if (this.paste) document.addEventListener("paste", this.pasted);
  },
  unmounted() {
    document.removeEventListener("paste", this.pasted);
  },
  methods: {
    chosen(event) {
      this.send(event.target.files);
      event.target.value = "";
    },
    dropped(event) {
      this.over = false;
      this.send(event.dataTransfer.files);
    },
    pasted(event) {
      if (event.clipboardData.files.length) this.send(event.clipboardData.files);
    },
    async send(list) {
      let files = [...list];
      if (!this.multiple) files = files.slice(0, 1);
      this.problem = "";
      this.waiting += files.length;
      for (const file of files) {
        try {
          if (file.size > this.maxBytes) throw new Error(this.tooLargeText);
          const form = new FormData();
          form.append("image", file);
          const answer = await fetch(`${this.root}/photos`, { method: "POST", body: form });
          const body = await answer.json().catch(() => ({}));
          if (!answer.ok) throw new Error(body.error?.message || this.failedText);
          this.$emit("photo", { id: body.photos[0], name: file.name });
        } catch (error) {
          const words = error instanceof TypeError ? this.failedText : error.message;
          this.problem += `${this.problem && "; "}${file.name}: ${words}`;
        } finally {
          this.waiting -= 1;
        }
      }
    },
  },
};
