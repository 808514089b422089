export default {
  input: process.env.OPENAPI_DOCUMENT,
  output: { path: process.env.CLIENT_FOLDER, importFileExtension: ".js" },
};
