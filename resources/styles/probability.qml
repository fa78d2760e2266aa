<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<!-- How probable a change is: transparent where there is none, then from yellow to red. -->
<qgis version="3.22.0" styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" nodataColor="" classificationMin="0" classificationMax="1">
      <minMaxOrigin>
        <limits>None</limits>
      </minMaxOrigin>
      <rastershader>
        <colorrampshader minimumValue="0" maximumValue="1" colorRampType="INTERPOLATED" classificationMode="1" clip="0" labelPrecision="2">
          <colorramp type="gradient" name="[source]">
            <Option type="Map">
              <Option type="QString" name="color1" value="255,255,178,0"/>
              <Option type="QString" name="color2" value="189,0,38,255"/>
              <Option type="QString" name="discrete" value="0"/>
              <Option type="QString" name="rampType" value="gradient"/>
              <Option type="QString" name="stops" value="0.25;254,204,92,110:0.5;253,141,60,190:0.75;240,59,32,230"/>
            </Option>
          </colorramp>
          <item value="0" label="0" color="#ffffb2" alpha="0"/>
          <item value="0.25" label="0.25" color="#fecc5c" alpha="110"/>
          <item value="0.5" label="0.5" color="#fd8d3c" alpha="190"/>
          <item value="0.75" label="0.75" color="#f03b20" alpha="230"/>
          <item value="1" label="1" color="#bd0026" alpha="255"/>
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
