<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<!-- What became of each pixel, in the colours that reports give it; nothing that is rightly nothing is transparent. -->
<qgis version="3.22.0" styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1" nodataColor="">
      <colorPalette>
        <paletteEntry value="0" label="nothing, rightly" color="#ffffff" alpha="0"/>
        <paletteEntry value="1" label="right" color="#00d69b" alpha="140"/>
        <paletteEntry value="2" label="false" color="#ff5a1f" alpha="255"/>
        <paletteEntry value="3" label="missed" color="#ffd500" alpha="255"/>
        <paletteEntry value="4" label="of another class" color="#e15bd6" alpha="255"/>
      </colorPalette>
    </rasterrenderer>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
