import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  define: { global: 'globalThis', 'process.env.NODE_ENV': '"production"' },
  // Its ES module lacks the default export that @grafana/ui asks for.
  resolve: { alias: { 'react-custom-scrollbars-2': new URL('scrollbars.jsx', import.meta.url).pathname } },
  esbuild: { jsx: 'automatic' },
  build: { outDir: 'node_modules/.pictures', chunkSizeWarningLimit: 20000, minify: false, reportCompressedSize: false },
});
