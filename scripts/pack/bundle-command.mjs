// Bundles the `inferwire` command with the packages that it imports, and lists these in an SBOM and a licence file.
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { ROOT } from '../step.mjs'
import { cycloneDx } from './cyclone-dx.mjs'

// Only `inferwire dev` loads this package, which is 140 MB with its ONNX runtime.
const EXTERNAL = ['@inferwire/dev']
// The longest match: a package may be in another package's node_modules.
const PACKAGE_FOLDER = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/
const LICENSE_FILE = /^(?:licen[cs]e|copying|notice)/i

/** Writes the program, its SBOM and its licences to `folder`. @throws Error if an import cannot be bundled */
export async function bundleCommand(folder) {
  const bundle = await rolldown({
    input: { main: join(ROOT, 'packages/cli/dist/main.js') },
    platform: 'node',
    external: EXTERNAL,
  })
  const { output } = await bundle.write({
    dir: join(folder, 'dist'),
    format: 'esm',
    entryFileNames: '[name].js',
    // The code locates package.json relative to `dist`, so that no chunk may be in a subfolder.
    chunkFileNames: '[name]-[hash].js',
  })
  await bundle.close()
  mkdirSync(join(folder, 'proto'))
  copyFileSync(join(ROOT, 'packages/protocol/proto/inference.proto'), join(folder, 'proto/inference.proto'))
  const packages = bundledPackages(output.flatMap((chunk) => chunk.moduleIds ?? []))
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  writeFileSync(join(folder, 'sbom.cdx.json'), `${JSON.stringify(cycloneDx(version, packages), null, 2)}\n`)
  writeFileSync(join(folder, 'THIRD-PARTY-LICENSES'), packages.map(licenceText).join('\n'))
}

/** Returns name, version, license, integrity and folder of the packages with these modules, sorted by name. */
function bundledPackages(modules) {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages
  const folders = new Set(modules.map((id) => PACKAGE_FOLDER.exec(id)?.[0]).filter(Boolean))
  return [...folders]
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      const { integrity } = lock[folder.slice(ROOT.length)]
      return { name, version, license, integrity, folder }
    })
    .sort((one, other) => (`${one.name}@${one.version}` < `${other.name}@${other.version}` ? -1 : 1))
}

function licenceText({ name, version, license, folder }) {
  const texts = readdirSync(folder)
    .filter((file) => LICENSE_FILE.test(file) && !file.endsWith('.js'))
    .map((file) => readFileSync(join(folder, file), 'utf8').trim())
  return `${'='.repeat(80)}\n${name} ${version} (${license})\n\n${texts.join('\n\n')}\n`
}
