import js from '@eslint/js';
import globals from 'globals';

export default [
  // Python's packages bring scripts of their own.
  { ignores: ['.venv/'] },
  js.configs.recommended,
  { languageOptions: { globals: globals.node } },
  {
    // Parts of these run in pages.
    files: ['harness/chromium-place.js', 'harness/counted-place.js', 'reliability/places.js', 'tests/fallback.test.js'],
    languageOptions: { globals: { window: 'readonly' } },
  },
  {
    files: ['spring-frontend/*.js'],
    languageOptions: { sourceType: 'script', globals: { ...globals.browser, SockJS: 'readonly', Stomp: 'readonly' } },
  },
];
