// Writes a CycloneDX SBOM of the bundled `inferwire` command, because scanners do not find bundled packages.

/** Returns the SBOM of `version` with `packages`, each with name, version, license and the integrity from npm. */
export function cycloneDx(version, packages) {
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: component('application', { name: 'inferwire', version, license: 'Apache-2.0' }) },
    components: packages.map((each) => component('library', each)),
  }
}

function component(type, { name, version, license, integrity }) {
  return {
    type,
    'bom-ref': `${name}@${version}`,
    name,
    version,
    // The `@` of a scope is encoded: https://github.com/package-url/purl-spec
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    licenses: [{ license: { id: license } }],
    ...(integrity === undefined ? {} : { hashes: [hash(integrity)] }),
  }
}

// npm's integrity is `sha512-` and base64; CycloneDX has `SHA-512` and hexadecimal digits.
function hash(integrity) {
  const [algorithm, digest] = integrity.split('-')
  return {
    alg: algorithm.toUpperCase().replace('SHA', 'SHA-'),
    content: Buffer.from(digest, 'base64').toString('hex'),
  }
}
