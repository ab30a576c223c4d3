// The answers to a case, whose buttons stand inside; a key that a button names presses it. Nothing is
// pressed twice, nor right after another case came up in place of the one somebody looked at.
const SETTLE_MS = 700;
let looked;  // at this case, last

export default {
  template: `
    <div class="review-buttons" :class="{ settling: settling }" @click.capture="pressed">
      <slot></slot>
    </div>`,
  props: { about: String },
  data() {
    return { settling: false };
  },
  mounted() {
    if (looked !== undefined && looked !== this.about) this.settle();
    looked = this.about;
    document.addEventListener("keydown", this.key);
  },
  unmounted() {
    clearTimeout(this.timer);
    document.removeEventListener("keydown", this.key);
  },
  methods: {
    settle() {
      this.settling = true;
      this.timer = setTimeout(() => { this.settling = false; }, SETTLE_MS);
    },
    pressed(event) {
      if (this.settling) event.stopPropagation();
      else if (event.target.closest("button")) this.settle();
    },
    key(event) {
      if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.target.closest("input, select, textarea") || document.querySelector(".q-dialog")) return;
      const named = (button) => button.dataset.key === event.key.toLowerCase();
      [...this.$el.querySelectorAll("[data-key]")].find(named)?.click();
    },
  },
};
