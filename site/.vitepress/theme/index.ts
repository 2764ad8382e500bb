import "./style.css";

// The theme without its web fonts: pages use the fonts of the system and load nothing from elsewhere.
export { default } from "vitepress/theme-without-fonts";
